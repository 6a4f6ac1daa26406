-- Whether a decision went by what is known of the user; what was decided before this column was there did.
ALTER TABLE decisions ADD COLUMN IF NOT EXISTS basis LowCardinality(String) DEFAULT 'personal'
    COMMENT 'personal, or contextual: nothing that is known of the user was used' AFTER contributions;

-- A view has the columns that there were when it was made.
CREATE OR REPLACE VIEW unique_decisions AS SELECT * FROM decisions FINAL
COMMENT 'One row a decision: its first copy';
