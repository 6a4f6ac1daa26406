"""The pure heart: partition state, weights and ordered events in; decisions, outcomes, examples out."""
