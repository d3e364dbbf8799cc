"""The only door to the network: retry, throttle, circuit breaker and time limit of calls."""
