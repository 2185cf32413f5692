-- Tags come from the template's text, since a job needs them before any provisioner has it; what imports said of them was
-- kept here and read by nobody. Until every server runs this release, an older one cannot end an import.
DROP TABLE template_version_workspace_tags;
