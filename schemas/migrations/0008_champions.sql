-- A challenger with other settings that is better becomes the champion; the audit has a row for each change.
ALTER TABLE model_changes COMMENT COLUMN IF EXISTS kind
    'gate_closed, gate_opened, gate_accepted, drift, promotion or rollback (of the champion)';

ALTER TABLE model_changes COMMENT COLUMN IF EXISTS reason
    'What the gate closed on; the settings of the new champion and of the former';

ALTER TABLE model_changes COMMENT COLUMN IF EXISTS seen
    'What was seen; for a promotion the gain, in nats an example';
