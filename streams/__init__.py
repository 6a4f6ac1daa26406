"""What runs: the Faust apps, delivery, state, sinks and the command line."""
