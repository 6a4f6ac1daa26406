"""What is learned and decided: kernels, features, policies, evaluation. No Kafka, no I/O, no clock."""
