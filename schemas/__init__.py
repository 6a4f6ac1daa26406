"""What crosses a boundary: the structs of every topic, the topics themselves, the ClickHouse migrations."""
