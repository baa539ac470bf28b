-- How many edits of the settings there were.
CREATE TABLE revision (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO revision (id, revision) VALUES (1, 0);
