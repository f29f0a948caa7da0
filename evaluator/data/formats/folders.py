"""Classification: one folder of pictures a class, with or without folders of splits around them."""

from __future__ import annotations

from collections import defaultdict

from evaluator.data.dataset import Dataset, Item, Log
from evaluator.data.files import Tree, is_image, shown
from evaluator.data.formats import FORMATS, own_split, split_of
from evaluator.tasks import TaskError
from space.registry import part


@part(FORMATS, "folders", fallback=True)
def folders(tree: Tree, log: Log) -> Dataset | None:
    """A folder of at least two folders with pictures; deeper folders belong to the class that they are in."""
    images = [name for name in tree.files if is_image(name)]
    if not images:
        return None
    tops = {name.split("/")[0] for name in images if "/" in name}
    splits = {top: split for top in tops if (split := split_of(top)) is not None and split_of_only(top)}
    if splits and set(splits) != tops:
        rest = sorted(tops - set(splits))
        raise TaskError(f"the data has folders of splits ({', '.join(sorted(splits))}) beside others "
                        f"({', '.join(map(shown, rest[:3]))}); is that a class or not?")  # fmt: skip
    depth = 1 if splits else 0
    if len(set(splits.values())) < len(splits):
        raise TaskError(f"the data has several folders for one split: {', '.join(sorted(splits))}; leave one of each")
    roles = own_split(splits.values() if splits else [None], log)
    by_class: dict[str, list[Item]] = defaultdict(list)
    for name in images:
        parts = name.split("/")
        if len(parts) < depth + 2:
            log.image("not in a folder of a class", shown(name))
            continue
        split = splits.get(parts[0]) if depth else None
        if split in roles:
            by_class[parts[depth]].append(Item(name=name, data=tree.path(name), split=roles[split]))
    if len(by_class) < 2:
        only = f"one class, '{shown(next(iter(by_class)))}'" if by_class else "pictures but no folders of classes"
        raise TaskError(f"the data holds {only}; a classifier needs two folders of pictures or more")
    others = [name for name in tree.files if not is_image(name)]
    for name in others:
        log.file("not a picture", shown(name))
    held = {name.split("/")[depth] for name in tree.files if name.count("/") > depth}
    for name in sorted(held - set(by_class)):
        log.category("folder without pictures", shown(name))
    classes = sorted(by_class)
    items = [
        Item(name=item.name, data=item.data, split=item.split, label=label)
        for label, name in enumerate(classes)
        for item in by_class[name]
    ]
    own = "its folders" if splits and set(roles.values()) != {None} else None
    return Dataset(format="image folders", kind="classifier", classes=[shown(name) for name in classes],
                   items=lambda: iter(items), num_items=len(items), own_split=own)  # fmt: skip


def split_of_only(name: str) -> bool:
    """Whether a folder is called a split and nothing else ("train", not "train_station")."""
    return name.lower() in ("train", "training", "val", "valid", "validation", "test")
