-- The views say placement where they said variant, and views of rows that belong together are new. An older wb would put the old views
-- back beside them, so the version rises although no table changes.

COMMENT ON COLUMN raw.session.variant IS
  'placement of the documents: system, first-user, before-last or append; the views call it placement. A conversation without documents '
  'has the first placement of its run';
