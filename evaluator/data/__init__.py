"""The user's own data: found out, checked, resized once into the cache, and searched with like a built-in task.

```
folder ──formats──> Dataset (items, classes) ──prepare──> cache folder data-<key> ──task──> OwnData
```

Every picture is read twice: once for the digest of its bytes, which with the annotations makes the key, and once
to be resized, if no cache of that key is there. What is wrong with a picture or a box costs that picture or box,
with a count and a list (`Log`); what is wrong with the whole is a `TaskError` of one line. Nothing here imports
torch.
"""
