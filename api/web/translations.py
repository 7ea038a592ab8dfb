"""The languages of the pages: sentences by gettext, numbers, amounts and dates as the locale writes them.

Catalogues are the .po files beside this module, read when they are first needed; there is no build step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Final

from scoring.formatting import Language, format_value

if TYPE_CHECKING:
    from babel import Locale

_LOCALES: Final = {Language.ENGLISH: "en_001", Language.CHINESE: "zh_Hans_CN"}
_TAGS: Final = {Language.ENGLISH: "en", Language.CHINESE: "zh-Hans"}
_LARGE: Final = 1_000
"""Amounts from here on are told without cents."""


def N_(text: str) -> str:  # noqa: N802 - the name by which gettext knows it
    """Mark a sentence that is translated where it is shown.

    Example:
        >>> N_("Returns")
        'Returns'
    """
    return text


@dataclass(frozen=True)
class Translator:
    """One language: says sentences and writes figures.

    Example:
        >>> words_of(Language.CHINESE).points(14)
        '+14'
    """

    language: Language
    locale: Locale
    catalogue: NullTranslations

    @property
    def tag(self) -> str:
        """What the `lang` of a page says."""
        return _TAGS[self.language]

    def say(self, text: str, /, **values: object) -> str:
        """Return a sentence in this language, `%(name)s` filled in; one that is not known stays as it is."""
        said = self.catalogue.gettext(text)
        return said % values if values else said

    def count(self, one: str, many: str, number: int, /, **values: object) -> str:
        """Return the sentence for a number of things; `%(n)s` is the number."""
        said = self.catalogue.ngettext(one, many, number)
        return said % {"n": self.number(number), **values}

    def listing(self, items: Sequence[str]) -> str:
        """Join items as the language writes a list.

        Example: "A, B and C", in Chinese "A、B和C".
        """
        from babel.lists import format_list

        return format_list(items, locale=self.locale)

    def number(self, value: float) -> str:
        """Write a number, four digits of one that is no whole."""
        return _number(value, self.language)

    def points(self, value: int) -> str:
        """Write points with their sign, a true minus."""
        return f"{'−' if value < 0 else '+' if value > 0 else ''}{self.number(abs(value))}"

    def percent(self, value: float, digits: int = 1) -> str:
        """Write a share."""
        return _percent(value, digits, self.language)

    def money(self, value: float, currency: str = "USD") -> str:
        """Write an amount, without cents where it is large."""
        return _money(value, currency, self.language)

    def day(self, value: date | str) -> str:
        """Write a day, given as one or as ISO 8601."""
        return _day(date.fromisoformat(value[:10]) if isinstance(value, str) else value, self.language)

    def moment(self, value: datetime) -> str:
        """Write a moment, UTC."""
        return _moment(value, self.language)

    def figure(self, value: float | None, unit: str) -> str:
        """Write a value of a feature with its unit, as the statements of reasons write it.

        Example: 0.0621 of `ratio` is 6.2%; none is "not known".
        """
        return format_value(value, unit, self.language)


@cache
def translator_for(language: Language) -> Translator:
    """Return a language, its catalogue read once."""
    from babel import Locale

    return Translator(language, Locale.parse(_LOCALES[language]), _catalogue(language))


def negotiate_language(accepted: str) -> Language:
    """Return the language that a browser likes best of ours, English where it names none.

    Example:
        >>> str(negotiated("fr, zh-CN;q=0.8, en;q=0.5"))
        'zh'
    """
    liked = sorted((_preferences(each) for each in accepted.split(",")), key=lambda each: -each[1])
    for name, weight in liked:
        if weight > 0 and name in set(Language):
            return Language(name)
    return Language.ENGLISH


def _preferences(said: str) -> tuple[str, float]:
    tag, _, parameter = said.partition(";")
    name = tag.strip().lower().split("-")[0]
    try:
        weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
    except ValueError:
        weight = 0.0
    return name, weight if 0 <= weight <= 1 else 0.0


def _catalogue(language: Language) -> NullTranslations:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    path = files("api.web") / "locale" / f"{language}.po"
    if not path.is_file():
        return NullTranslations()
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=str(language)))
    compiled.seek(0)
    return GNUTranslations(compiled)


# what babel writes takes longer than the page around it
@lru_cache(maxsize=50_000)
def _number(value: float, language: Language) -> str:
    from babel.numbers import format_decimal

    if float(value).is_integer() or abs(value) >= _LARGE:
        return format_decimal(round(value), locale=translator_for(language).locale)
    return format_decimal(float(f"{value:.4g}"), format="#,##0.####", locale=translator_for(language).locale)


@lru_cache(maxsize=50_000)
def _percent(value: float, digits: int, language: Language) -> str:
    from babel.numbers import format_percent

    shown = format_percent(value, format=f"#,##0.{'#' * digits}%", locale=translator_for(language).locale)
    return shown.replace("-", "−")


@lru_cache(maxsize=10_000)
def _money(value: float, currency: str, language: Language) -> str:
    from babel.numbers import format_currency

    digits = "" if abs(value) >= _LARGE or float(value).is_integer() else ".00"
    locale = translator_for(language).locale
    return format_currency(value, currency, format=f"¤#,##0{digits}", locale=locale, currency_digits=False)


@lru_cache(maxsize=10_000)
def _day(value: date, language: Language) -> str:
    from babel.dates import format_date

    return format_date(value, "medium", locale=translator_for(language).locale)


@lru_cache(maxsize=10_000)
def _moment(value: datetime, language: Language) -> str:
    from babel.dates import format_datetime

    return f"{format_datetime(value, 'medium', locale=translator_for(language).locale)} UTC"
