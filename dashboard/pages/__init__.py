"""One module a page: functions from data to Dash components, without callbacks."""
