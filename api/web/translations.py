"""Languages of the pages: sentences with gettext; numbers, amounts and dates in the format of the locale.

Catalogues are the .po files in `locale/`. They are read at first use; there is no build step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import Final

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal, format_percent

from scoring.formatting import Language, format_value

_LOCALES: Final = {Language.ENGLISH: "en_001", Language.CHINESE: "zh_Hans_CN"}
_TAGS: Final = {Language.ENGLISH: "en", Language.CHINESE: "zh-Hans"}
_LARGE: Final = 1_000
"""Amounts from here on are shown without cents."""


def N_(text: str) -> str:  # noqa: N802 - the name that gettext expects
    """Mark a sentence for translation at the time of display.

    Example:
        >>> N_("Returns")
        'Returns'
    """
    return text


@dataclass(frozen=True)
class Translator:
    """One language: translates sentences and formats values.

    Example:
        >>> translator_for(Language.CHINESE).points(14)
        '+14'
    """

    language: Language
    locale: Locale
    catalogue: NullTranslations

    @property
    def tag(self) -> str:
        """The value of the `lang` attribute."""
        return _TAGS[self.language]

    def translate(self, text: str, /, **values: object) -> str:
        """Translate a sentence and fill in `%(name)s`; an unknown sentence stays in English."""
        translated = self.catalogue.gettext(text)
        return translated % values if values else translated

    def count(self, one: str, many: str, number: int, /, **values: object) -> str:
        """Translate a sentence with a number; `%(n)s` is the number."""
        translated = self.catalogue.ngettext(one, many, number)
        return translated % {"n": self.number(number), **values}

    def listing(self, items: Sequence[str]) -> str:
        """Join items in the list format of the language.

        Example: "A, B and C", in Chinese "A、B和C".
        """
        return format_list(items, locale=self.locale)

    def number(self, value: float) -> str:
        """Format a number; a fraction with four significant digits."""
        return _number(value, self.language)

    def points(self, value: int) -> str:
        """Format points with a sign, using U+2212 for minus."""
        return f"{'−' if value < 0 else '+' if value > 0 else ''}{self.number(abs(value))}"

    def percent(self, value: float, digits: int = 1) -> str:
        """Format a share as a percentage."""
        return _percent(value, digits, self.language)

    def money(self, value: float, currency: str = "USD") -> str:
        """Format an amount; large amounts without cents."""
        return _money(value, currency, self.language)

    def day(self, value: date | str) -> str:
        """Format a day, given as a date or as ISO 8601."""
        return _day(date.fromisoformat(value[:10]) if isinstance(value, str) else value, self.language)

    def moment(self, value: datetime) -> str:
        """Format a time in UTC."""
        return _moment(value, self.language)

    def format_value(self, value: float | None, unit: str) -> str:
        """Format a feature value with its unit, as in reason statements.

        Example: 0.0621 of `ratio` is 6.2%; None is "not known".
        """
        return format_value(value, unit, self.language)


@cache
def translator_for(language: Language) -> Translator:
    """Return the translator of a language; its catalogue is read once."""
    return Translator(language, Locale.parse(_LOCALES[language]), _catalogue(language))


def negotiate_language(accepted: str) -> Language:
    """Return the supported language that a browser prefers; English if it lists none.

    Example:
        >>> str(negotiate_language("fr, zh-CN;q=0.8, en;q=0.5"))
        'zh'
    """
    preferences = sorted(map(_preference, accepted.split(",")), key=lambda preference: -preference[1])
    for name, weight in preferences:
        if weight > 0 and name in set(Language):
            return Language(name)
    return Language.ENGLISH


def _preference(header: str) -> tuple[str, float]:
    tag, _, parameter = header.partition(";")
    name = tag.strip().lower().split("-")[0]
    try:
        weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
    except ValueError:
        weight = 0.0
    return name, weight if 0 <= weight <= 1 else 0.0


def _catalogue(language: Language) -> NullTranslations:
    path = files("api.web") / "locale" / f"{language}.po"
    if not path.is_file():
        return NullTranslations()
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=str(language)))
    compiled.seek(0)
    return GNUTranslations(compiled)


# formatting with babel takes longer than the rest of a page
@lru_cache(maxsize=50_000)
def _number(value: float, language: Language) -> str:
    if float(value).is_integer() or abs(value) >= _LARGE:
        return format_decimal(round(value), locale=_LOCALES[language])
    return format_decimal(float(f"{value:.4g}"), format="#,##0.####", locale=_LOCALES[language])


@lru_cache(maxsize=50_000)
def _percent(value: float, digits: int, language: Language) -> str:
    return format_percent(value, format=f"#,##0.{'#' * digits}%", locale=_LOCALES[language]).replace("-", "−")


@lru_cache(maxsize=10_000)
def _money(value: float, currency: str, language: Language) -> str:
    digits = "" if abs(value) >= _LARGE or float(value).is_integer() else ".00"
    return format_currency(value, currency, f"¤#,##0{digits}", locale=_LOCALES[language], currency_digits=False)


@lru_cache(maxsize=10_000)
def _day(value: date, language: Language) -> str:
    return format_date(value, "medium", locale=_LOCALES[language])


@lru_cache(maxsize=10_000)
def _moment(value: datetime, language: Language) -> str:
    return f"{format_datetime(value, 'medium', locale=_LOCALES[language])} UTC"
