-- whether the simulator made some run of the history
SELECT coalesce(bool_or(simulated), false) FROM raw.run
