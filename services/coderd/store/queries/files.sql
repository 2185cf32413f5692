-- Archives: a row, and its content in pieces of 1 MiB that are written in the same transaction.

-- row store_file: id uuid, hash text, created_by uuid, mimetype text, size_bytes int, created_at time

-- query store_file_by_id(id uuid) -> one store_file
SELECT id, hash, created_by, mimetype, size_bytes, created_at FROM files WHERE id = $id;

-- query store_file_by_hash(hash text, created_by uuid) -> optional store_file
SELECT id, hash, created_by, mimetype, size_bytes, created_at FROM files
WHERE hash = $hash AND created_by = $created_by;

-- Templates that have, or had, a version of this source.
-- query store_templates_of_file(file_id uuid) -> many uuid
SELECT DISTINCT t.id
FROM provisioner_jobs j
JOIN template_versions v ON v.job_id = j.id
JOIN templates t ON t.id = v.template_id AND NOT t.deleted
WHERE j.file_id = $file_id;

-- Violates files_hash_created_by_key.
-- query store_file_insert(id uuid, hash text, created_by uuid, mimetype text, size_bytes int) -> exec
INSERT INTO files (id, hash, created_by, mimetype, size_bytes)
VALUES ($id, $hash, $created_by, $mimetype, $size_bytes);

-- query store_file_chunk_insert(file_id uuid, n int, data bytes) -> exec
INSERT INTO file_chunks (file_id, n, data) VALUES ($file_id, $n, $data);

-- Pieces count from 0; the first that is absent is the end.
-- query store_file_chunk_get(file_id uuid, n int) -> optional bytes
SELECT data FROM file_chunks WHERE file_id = $file_id AND n = $n;
