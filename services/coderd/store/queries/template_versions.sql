-- include api/templates.h

-- template_id is nil while the version belongs to no template. job: see store/jobs.h.
-- row store_template_version: id uuid, template_id uuid, organization_id uuid, job_id uuid, created_by uuid,
--     name text, message text, readme text, archived bool, has_external_agent bool, external_auth_ids text[],
--     modules jsonmap, modules_file_id uuid?, created_at time, updated_at time,
--     created_by_username text, created_by_name text, created_by_avatar_url text

-- query store_template_version_by_id(id uuid) -> one store_template_version
SELECT {v} FROM template_version_details v WHERE v.id = $id;

-- query store_template_version_by_name(template_id uuid, name text) -> one store_template_version
SELECT {v} FROM template_version_details v WHERE v.template_id = $template_id AND lower(v.name) = lower($name);

-- The one made before the one of this name.
-- query store_template_version_previous(template_id uuid, name text) -> optional store_template_version
SELECT {v} FROM template_version_details v
WHERE v.template_id = $template_id
  AND (v.created_at, v.id) < (SELECT c.created_at, c.id FROM template_versions c
                              WHERE c.template_id = $template_id AND lower(c.name) = lower($name) LIMIT 1)
ORDER BY v.created_at DESC, v.id DESC
LIMIT 1;

-- Oldest first; limit 0: all. after_id is the last of the page before.
-- query store_template_versions_page(template_id uuid, include_archived bool, after_id uuid?, limit int, offset int) -> many store_template_version
SELECT {v} FROM template_version_details v
WHERE v.template_id = $template_id AND ($include_archived OR NOT v.archived)
  AND ($after_id::uuid IS NULL
       OR (v.created_at, v.id) > (SELECT c.created_at, c.id FROM template_versions c WHERE c.id = $after_id))
ORDER BY v.created_at, v.id
LIMIT nullif($limit, 0) OFFSET $offset;

-- Violates template_versions_name_key.
-- query store_template_version_insert(id uuid, template_id uuid?, organization_id uuid, job_id uuid, created_by uuid, name text, message text, source_example_id text) -> exec
INSERT INTO template_versions (id, template_id, organization_id, job_id, created_by, name, message, source_example_id)
VALUES ($id, $template_id, $organization_id, $job_id, $created_by, $name, $message, $source_example_id);

-- Makes an unattached version one of the template; 0 rows when it is attached already.
-- query store_template_version_attach(id uuid, template_id uuid) -> exec
UPDATE template_versions SET template_id = $template_id, updated_at = now() WHERE id = $id AND template_id IS NULL;

-- NULL leaves a value as it is. Violates template_versions_name_key.
-- query store_template_version_update(id uuid, name text?, message text?) -> exec
UPDATE template_versions SET name = coalesce($name, name), message = coalesce($message, message), updated_at = now()
WHERE id = $id;

-- query store_template_version_set_readme(id uuid, readme text) -> exec
UPDATE template_versions SET readme = $readme, updated_at = now() WHERE id = $id;

-- What the import found.
-- query store_template_version_set_import(id uuid, external_auth_ids text[], has_external_agent bool, modules jsonmap, modules_file_id uuid?) -> exec
UPDATE template_versions
SET external_auth_ids = $external_auth_ids, has_external_agent = $has_external_agent, modules = $modules,
    modules_file_id = coalesce($modules_file_id, modules_file_id), updated_at = now()
WHERE id = $id;

-- query store_template_version_set_archived(id uuid, archived bool) -> exec
UPDATE template_versions SET archived = $archived, updated_at = now() WHERE id = $id AND archived <> $archived;

-- Archives versions of the template that no workspace uses and that are not active; only failed ones unless all.
-- query store_template_versions_archive(template_id uuid, all bool) -> many uuid
UPDATE template_versions v SET archived = true, updated_at = now()
FROM templates t, provisioner_jobs j
WHERE v.template_id = $template_id AND t.id = v.template_id AND j.id = v.job_id AND NOT v.archived
  AND v.id <> t.active_version_id AND ($all AND j.completed_at IS NOT NULL OR j.status = 'failed')
  AND NOT EXISTS (SELECT FROM workspace_builds b JOIN workspaces w ON w.latest_build_id = b.id AND NOT w.deleted
                  WHERE b.template_version_id = v.id)
RETURNING v.id;

-- query store_template_version_in_use(id uuid) -> one bool
SELECT EXISTS (SELECT FROM workspace_builds b JOIN workspaces w ON w.latest_build_id = b.id AND NOT w.deleted
               WHERE b.template_version_id = $id);

-- ---- parameters ----

-- query store_template_version_parameters(template_version_id uuid) -> many api_template_version_parameter
SELECT name, display_name, description, type, form_type, mutable, default_value, icon, options, validation_error,
       validation_regex, validation_min, validation_max, validation_monotonic, required, ephemeral
FROM template_version_parameters
WHERE template_version_id = $template_version_id
ORDER BY display_order, lower(name);

-- options: a JSON list of name, description, value, icon.
-- query store_template_version_parameter_insert(template_version_id uuid, name text, display_name text, description text, type text, form_type text, mutable bool, default_value text, icon text, options json, validation_error text, validation_regex text, validation_min int?, validation_max int?, validation_monotonic text, required bool, ephemeral bool, display_order int) -> exec
INSERT INTO template_version_parameters (template_version_id, name, display_name, description, type, form_type, mutable,
    default_value, icon, options, validation_error, validation_regex, validation_min, validation_max,
    validation_monotonic, required, ephemeral, display_order)
VALUES ($template_version_id, $name, $display_name, $description, $type, $form_type, $mutable, $default_value, $icon,
    $options, $validation_error, $validation_regex, $validation_min, $validation_max, $validation_monotonic, $required,
    $ephemeral, $display_order);

-- ---- variables ----

-- Sensitive values are in them: blank those before they are shown.
-- query store_template_version_variables(template_version_id uuid) -> many api_template_version_variable
SELECT name, description, type, value, default_value, required, sensitive
FROM template_version_variables
WHERE template_version_id = $template_version_id
ORDER BY name;

-- query store_template_version_variable_insert(template_version_id uuid, name text, description text, type text, value text, default_value text, required bool, sensitive bool) -> exec
INSERT INTO template_version_variables (template_version_id, name, description, type, value, default_value, required,
                                        sensitive)
VALUES ($template_version_id, $name, $description, $type, $value, $default_value, $required, $sensitive)
ON CONFLICT (template_version_id, name) DO UPDATE
SET description = excluded.description, type = excluded.type, value = excluded.value,
    default_value = excluded.default_value, required = excluded.required, sensitive = excluded.sensitive;

-- ---- presets ----

-- row store_preset: id uuid, template_version_id uuid, name text, description text, icon text, is_default bool,
--     prebuild_instances int?, parameters jsonmap

-- query store_template_version_presets(template_version_id uuid) -> many store_preset
SELECT {p} FROM template_version_presets p WHERE p.template_version_id = $template_version_id ORDER BY p.name;

-- query store_preset_by_id(id uuid) -> one store_preset
SELECT {p} FROM template_version_presets p WHERE p.id = $id;

-- query store_preset_insert(id uuid, template_version_id uuid, name text, description text, icon text, is_default bool, prebuild_instances int?, parameters jsonmap) -> exec
INSERT INTO template_version_presets (id, template_version_id, name, description, icon, is_default, prebuild_instances,
                                      parameters)
VALUES ($id, $template_version_id, $name, $description, $icon, $is_default, $prebuild_instances, $parameters);
