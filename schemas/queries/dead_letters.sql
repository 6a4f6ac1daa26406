-- Which events could not be used, why, and where does the newest of each kind lie?
SELECT
    source_topic,
    reason,
    count() AS events,
    min(ts) AS first,
    max(ts) AS last,
    argMax(concat(toString(source_partition), ':', toString(source_offset)), ts) AS newest_partition_offset
FROM unique_dead_letters
GROUP BY source_topic, reason
ORDER BY events DESC, source_topic, reason
