-- The hourly figures have rows by slot, too, named in the column that is there; older rows stay as they are.
ALTER TABLE model_quality COMMENT COLUMN IF EXISTS segment
    'all, own or foreign (the source); own-slot-0 to own-slot-31 and foreign-slot-0 to -31 (slots, hashed)';
