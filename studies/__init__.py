"""Study files (TOML) that ship with the product."""
