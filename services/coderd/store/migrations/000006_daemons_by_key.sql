-- A provisioner is known by its key and its name: the holder of one key, calling its daemon by the name of another's, must
-- not come by that one's jobs. Until every server runs this release, an older one cannot register provisioners.
CREATE UNIQUE INDEX provisioner_daemons_key_name_key
    ON provisioner_daemons (organization_id, key_id, lower(name), (coalesce(tags ->> 'owner', '')));
DROP INDEX provisioner_daemons_name_key;
