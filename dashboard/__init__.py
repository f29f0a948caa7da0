"""Only looks: the Dash application over the store. Never imports torch, optuna or fvcore."""
