"""The words of the pages by language, and how each language writes numbers, money, dates and amounts.

The languages themselves are the files of ``core/languages``, one each.
"""

from __future__ import annotations

from datetime import date

from shelf_collector.core.languages import LANGUAGES
from shelf_contracts.products import NetContent, minor_digits

LANGUAGE_NAMES = {code: language.name for code, language in LANGUAGES.items()}
DIRECTIONS = {code: language.direction for code, language in LANGUAGES.items()}
WORDS = {code: language.words for code, language in LANGUAGES.items()}
ALLERGENS = {code: language.allergens for code, language in LANGUAGES.items()}
ALLERGENS_AFAR = {code: {**language.allergens, **language.allergens_afar} for code, language in LANGUAGES.items()}


def number(value: float, language: str, digits: int = 1) -> str:
    """A number as people write it, without needless zeros.

    >>> number(12.50, "nl"), number(0.34, "en", 2), number(7.0, "it")
    ('12,5', '0.34', '7')
    """
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace(".", LANGUAGES[language].decimal_mark)


def money(cents: int, currency: str, language: str) -> str:
    """An amount of money; ``cents`` counts the currency's smallest unit.

    >>> money(249, "EUR", "nl"), money(249, "EUR", "it"), money(123456, "EUR", "en")
    ('€ 2,49', '2,49 €', '€1,234.56')
    >>> money(150, "JPY", "en"), money(12500, "KWD", "nl")
    ('JPY 150', 'KWD 12,500')
    """
    style = LANGUAGES[language]
    digits = minor_digits(currency)
    whole, part = divmod(cents, 10**digits)
    amount = f"{whole:,}".replace(",", style.thousands_mark)
    if digits:
        amount += f"{style.decimal_mark}{part:0{digits}}"
    text = style.money.format(sign="€" if currency == "EUR" else f"{currency} ", amount=amount)
    return " ".join(text.split())


def shown_date(day: date, language: str) -> str:
    """A date with its month in letters.

    >>> shown_date(date(2026, 11, 1), "nl"), shown_date(date(2026, 1, 11), "it"), shown_date(date(2026, 11, 1), "en")
    ('1 nov 2026', '11 gen 2026', '1 Nov 2026')
    """
    style = LANGUAGES[language]
    return style.date.format(day=day.day, month=style.months[day.month - 1], year=day.year)


def net_content(content: NetContent | None, language: str) -> str:
    """What is in the pack: ``250 g``, ``20 stuks``; empty when it is so little that a zero would stand there."""
    if content is None or round(content.amount, 2) == 0:
        return ""
    amount = number(content.amount, language, 2)
    if content.unit != "piece":
        return f"{amount} {content.unit}"
    return f"{amount} {WORDS[language]['piece' if content.amount == 1 else 'pieces']}"
