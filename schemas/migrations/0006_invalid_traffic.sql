-- Invalid traffic: why an exposure or a click counts for nothing, and what is left once credits are taken off.
ALTER TABLE outcomes ADD COLUMN IF NOT EXISTS invalid LowCardinality(String) DEFAULT ''
    COMMENT 'Why it is invalid traffic; empty: valid. Of exposures, clicks and credits' AFTER order_id;

ALTER TABLE outcomes COMMENT COLUMN IF EXISTS kind
    'exposure, click, purchase, refund, or credit: takes back a click whose outcome_id differs in the kind alone';

-- A view keeps the columns that it was made with.
CREATE OR REPLACE VIEW unique_outcomes AS SELECT * FROM outcomes FINAL
COMMENT 'One row an outcome: its first copy; with invalid traffic, see valid_outcomes';

CREATE OR REPLACE VIEW credited_clicks AS
SELECT replaceOne(outcome_id, 'credit-', 'click-') AS outcome_id, invalid FROM unique_outcomes WHERE kind = 'credit'
COMMENT 'Clicks that had counted and turned out to be invalid traffic';

CREATE OR REPLACE VIEW valid_outcomes AS
SELECT *
FROM unique_outcomes
WHERE invalid = '' AND NOT (kind = 'click' AND outcome_id IN (SELECT outcome_id FROM credited_clicks))
COMMENT 'Exposures, clicks, orders and refunds that count: no invalid traffic, nothing that was credited';
