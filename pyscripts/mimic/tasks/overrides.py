"""--set of a recipe, '[NAME:]section.key=value ...', checked against all that the recipe makes from configurations.

A setting is for the models that NAME matches, or for all of them, as far as their tasks have it; where its section is
a type of features, as in fbank.num_mel_bins=40, for the features of that type. It is wrong where nothing has it, and
where its value is.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
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

FEATURES = ("fbank", "logmel", "mfcc", "stft")
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

    def misfits(self, given: list["Setting"]) -> Iterator[str]:
        """What is wrong with the sections of the configuration that --set changes."""
        overrides = [(f"{setting.section}.{setting.field}", setting.value) for setting in given]
        raw = read_raw(self.config, [*pairs(self.words), *overrides])
        for section in dict.fromkeys(setting.section for setting in given):
            try:
                build(self.section(section), raw.get(section) or {}, f"{self.config}: {section}")
            except UserError as error:
                yield f"--set for {self.name}: {error}"


class Features(NamedTuple):
    """Features that a recipe makes: their type, option file and directory."""

    type: str
    config: str
    directory: str

    @property
    def name(self) -> str:
        return self.directory.rpartition("/")[2]

    @property
    def kind(self) -> Any:
        """The extractor and the dataclass of its options."""
        from mimic.frontend.extraction import EXTRACTORS  # loads numpy, which settings of models do not need

        return EXTRACTORS[self.type]

    def fields(self, section: str) -> dict[str, Any]:
        """The types of their options; none for another section than the type."""
        return hints(self.kind[1]) if section == self.type else {}

    def sections(self) -> list[str]:
        return [self.type]

    def misfits(self, given: list["Setting"]) -> Iterator[str]:
        """What is wrong with the options that --set changes."""
        extractor, options = self.kind
        types = self.fields(self.type)
        try:
            values = {setting.field: convert(types[setting.field], setting.value, setting.word) for setting in given}
            extractor(replace(options.read(self.config), **values))
        except UserError as error:
            yield f"--set for {self.type} features: {error}"


Made = Model | Features


class Setting(NamedTuple):
    """A word of --set."""

    word: str
    pattern: str
    section: str
    field: str
    value: str

    @property
    def of(self) -> type[Made]:
        return Features if self.section in FEATURES else Model

    def names(self, made: Made) -> bool:
        if not isinstance(made, self.of):
            return False
        return not self.pattern or any(fnmatchcase(name, self.pattern) for name in (made.name, made.directory))

    def only_for(self, model: Made) -> str:
        """The word for this model only. NAME of steps/train.sh is a pattern without blanks, up to the first `:`."""
        return f"{re.sub(WILD, '?', model.directory)}:{self.section}.{self.field}={self.value}"

    def wrong(self, problem: str) -> UserError:
        return UserError(f"--set {self.word}: {problem}")


def read_trainings(text: str) -> list[Made]:
    """What steps/lib/list_trainings.sh wrote: of each training the number of its words, and these; features.

    Raises UserError for a configuration that cannot be read.
    """
    words = text.split("\0")[:-1]
    models: list[Made] = []
    while words:
        if words[0] == "features":
            models.append(Features(*words[1:4]))
            words = words[4:]
            continue
        end = int(words[0]) + 1
        config, directory, *settings = words[1:end]
        raw = read_raw(config, pairs(settings))
        task = task_name(raw, config)
        models.append(Model(task, net_name(raw, task, config), config, directory, tuple(settings)))
        words = words[end:]
    return models


def resolve(words: Iterable[str], models: list[Made]) -> tuple[list[str], list[str], list[str]]:
    """(--set of steps/train.sh, notes, errors). What some models lack is there once for each that has it.

    Values that are right alone and do not fit each other are looked for where there is no other error.
    """
    resolved, notes, errors = [], [], []
    given: dict[Made, list[Setting]] = {}
    for word in words:
        try:
            setting = parse(word)
            having = models_of(setting, models)
        except UserError as error:
            errors.append(str(error))
            continue
        for model in having:
            given.setdefault(model, []).append(setting)
        if setting.of is Features or len(having) == sum(map(setting.names, models)):
            resolved.append(word)
            continue
        resolved += [setting.only_for(model) for model in having]
        notes.append(f"--set {word}: of {', '.join(dict.fromkeys(model.name for model in having))}")
    if not errors:
        errors = list(dict.fromkeys(what for made in given for what in made.misfits(given[made])))
    return resolved, notes, errors


def parse(word: str) -> Setting:
    """Raises UserError for a word of another form."""
    found = re.fullmatch(r"(?:([^:=]+):)?([a-z0-9_]+(?:\.[a-z0-9_]+)+)=(.+)", word)
    if not found:
        raise UserError(f"--set takes [NAME:]section.key=value, got '{word}'")
    ((key, value),) = renamed.rename_pairs([(found[2], found[3])])
    section, _, field = key.partition(".")
    return Setting(word, found[1] or "", section, field, value)


def models_of(setting: Setting, models: list[Made]) -> list[Made]:
    """What a setting is for. Raises UserError where there is nothing, and for a value that is wrong."""
    types = sorted({made.type for made in models if isinstance(made, Features)})
    if setting.of is Features and setting.section not in types:
        raise setting.wrong(f"this recipe makes no {setting.section} features, only {', '.join(types) or 'models'}")
    named = list(filter(setting.names, models))
    if not named:
        what, makes = ("model is", "trains") if setting.of is Model else ("features are", "makes")
        known = sorted({made.name for made in models if isinstance(made, setting.of)})
        hint = nearest(setting.pattern, known).partition(": ")[2].replace("known:", f"this recipe {makes}")
        raise setting.wrong(f"no {what} called {setting.pattern}: {hint}")
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
