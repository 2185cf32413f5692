-- Each page of workspaces begins with the caller's favorites; without this index it looks through all that the caller owns.
CREATE INDEX workspaces_favorite_idx ON workspaces (owner_id) WHERE favorite AND NOT deleted;
