-- Each page of workspaces says how many there are in all; counting ten thousand of them took longer than the page itself.
CREATE TABLE workspace_counts (
    organization_id uuid PRIMARY KEY REFERENCES organizations (id) ON DELETE CASCADE,
    live bigint NOT NULL
);
COMMENT ON TABLE workspace_counts IS 'Workspaces that are not deleted, kept by triggers of workspaces.';

INSERT INTO workspace_counts (organization_id, live)
SELECT organization_id, count(*) FROM workspaces WHERE NOT deleted GROUP BY organization_id;

-- By statement: a thousand new workspaces change one row once.
CREATE FUNCTION workspaces_count_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO workspace_counts AS c (organization_id, live)
    SELECT organization_id, count(*) FROM added WHERE NOT deleted GROUP BY organization_id
    ON CONFLICT (organization_id) DO UPDATE SET live = c.live + excluded.live;
    RETURN NULL;
END $$;

CREATE FUNCTION workspaces_count_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE workspace_counts
    SET live = live + CASE WHEN TG_OP = 'UPDATE' AND OLD.deleted THEN 1 ELSE -1 END
    WHERE organization_id = OLD.organization_id;
    RETURN NULL;
END $$;

CREATE TRIGGER workspaces_count_added AFTER INSERT ON workspaces
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION workspaces_count_added();
CREATE TRIGGER workspaces_count_deleted AFTER UPDATE ON workspaces
    FOR EACH ROW WHEN (OLD.deleted <> NEW.deleted) EXECUTE FUNCTION workspaces_count_changed();
CREATE TRIGGER workspaces_count_removed AFTER DELETE ON workspaces
    FOR EACH ROW WHEN (NOT OLD.deleted) EXECUTE FUNCTION workspaces_count_changed();
