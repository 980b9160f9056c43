"""--set of a recipe, '[NAME:]section.key=value ...', checked against all models that the recipe trains.

A setting is for the models that NAME matches, or for all of them, as far as their tasks have it. It is wrong where none
has it, and where its value is.
"""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from mimic import renamed
from mimic.errors import UserError
from mimic.models.config import pairs, read_raw, task_name
from mimic.nets import NETS
from mimic.settings import build, convert, hints, nearest
from mimic.tasks import TASKS
from mimic.tasks.config import LIGHT_SECTIONS, net_name
from mimic.training.config import TrainConfig

WILD = r"[][*?:=\s\\]"


class Model(NamedTuple):
    """A model that a recipe trains: its task and network, and the words after the options of steps/train.sh."""

    task: str
    net: str
    config: str
    directory: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.directory.rpartition("/")[2]

    def section(self, name: str) -> Any:
        """The dataclass of a section, or None. Only networks, and sections that LIGHT_SECTIONS lacks, load torch."""
        if name == "train":
            return TrainConfig
        if name == "model":
            return NETS[self.task][self.net][1]
        return LIGHT_SECTIONS[self.task].get(name) or TASKS[self.task].SECTIONS.get(name)

    def fields(self, section: str) -> dict[str, Any]:
        """The types of a section's settings; none where there is no such section."""
        found = self.section(section)
        return hints(found) if found else {}

    def sections(self) -> list[str]:
        return [*TASKS[self.task].SECTIONS, "model", "train"]


class Setting(NamedTuple):
    """A word of --set."""

    word: str
    pattern: str
    section: str
    field: str
    value: str

    def names(self, model: Model) -> bool:
        return not self.pattern or any(fnmatchcase(name, self.pattern) for name in (model.name, model.directory))

    def only_for(self, model: Model) -> str:
        """The word for this model only. NAME of steps/train.sh is a pattern without blanks, up to the first `:`."""
        return f"{re.sub(WILD, '?', model.directory)}:{self.section}.{self.field}={self.value}"

    def wrong(self, problem: str) -> UserError:
        return UserError(f"--set {self.word}: {problem}")


def read_trainings(text: str) -> list[Model]:
    """What steps/lib/list_trainings.sh wrote: of each training the number of its words, and these.

    Raises UserError for a configuration that cannot be read.
    """
    words, models = text.split("\0")[:-1], []
    while words:
        end = int(words[0]) + 1
        config, directory, *settings = words[1:end]
        raw = read_raw(config, pairs(settings))
        task = task_name(raw, config)
        models.append(Model(task, net_name(raw, task, config), config, directory, tuple(settings)))
        words = words[end:]
    return models


def resolve(words: Iterable[str], models: list[Model]) -> tuple[list[str], list[str], list[str]]:
    """(--set of steps/train.sh, notes, errors). What some models lack is there once for each that has it.

    Values that are right alone and do not fit each other are looked for where there is no other error.
    """
    resolved, notes, errors = [], [], []
    given: dict[Model, list[Setting]] = {}
    for word in words:
        try:
            setting = parse(word)
            having = models_of(setting, models)
        except UserError as error:
            errors.append(str(error))
            continue
        for model in having:
            given.setdefault(model, []).append(setting)
        if len(having) == sum(map(setting.names, models)):
            resolved.append(word)
            continue
        resolved += [setting.only_for(model) for model in having]
        notes.append(f"--set {word}: of {', '.join(dict.fromkeys(model.name for model in having))}")
    if not errors:
        errors = list(dict.fromkeys(what for model in given for what in _misfits(model, given[model])))
    return resolved, notes, errors


def parse(word: str) -> Setting:
    """Raises UserError for a word of another form."""
    found = re.fullmatch(r"(?:([^:=]+):)?([a-z0-9_]+(?:\.[a-z0-9_]+)+)=(.+)", word)
    if not found:
        raise UserError(f"--set takes [NAME:]section.key=value, got '{word}'")
    ((key, value),) = renamed.rename_pairs([(found[2], found[3])])
    section, _, field = key.partition(".")
    return Setting(word, found[1] or "", section, field, value)


def models_of(setting: Setting, models: list[Model]) -> list[Model]:
    """The models that a setting is for. Raises UserError where there is none, and for a value that is wrong."""
    named = list(filter(setting.names, models))
    if not named:
        hint = nearest(setting.pattern, sorted({model.name for model in models})).partition(": ")[2]
        raise setting.wrong(f"no model is called {setting.pattern}: {hint.replace('known:', 'this recipe trains')}")
    having = [model for model in named if setting.field in model.fields(setting.section)]
    for model in having:
        convert(model.fields(setting.section)[setting.field], setting.value, f"--set {setting.word}")
    if having:
        return having
    for model in models:
        if setting.field in model.fields(setting.section):
            raise setting.wrong(f"{named[0].name} has no {setting.section}.{setting.field}; {model.name} has it")
    sections = sorted({section for model in models for section in model.sections()})
    same = [section for section in sections if any(setting.field in model.fields(section) for model in models)]
    if same:
        raise setting.wrong(f"no model of this recipe has it: did you mean {same[0]}.{setting.field}?")
    if setting.section not in sections:
        raise setting.wrong(nearest(setting.section, sections))
    known = sorted({field for model in models for field in model.fields(setting.section)})
    raise setting.wrong(f"{setting.section}: {nearest(setting.field, known)}")


def _misfits(model: Model, given: list[Setting]) -> Iterator[str]:
    """What is wrong with the sections of a model's configuration that --set changes."""
    overrides = [(f"{setting.section}.{setting.field}", setting.value) for setting in given]
    raw = read_raw(model.config, [*pairs(model.words), *overrides])
    for section in dict.fromkeys(setting.section for setting in given):
        try:
            build(model.section(section), raw.get(section) or {}, f"{model.config}: {section}")
        except UserError as error:
            yield f"--set for {model.name}: {error}"
