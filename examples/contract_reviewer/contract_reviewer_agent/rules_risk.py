"""Rules that find who bears loss: limits of liability and indemnities."""

from __future__ import annotations

from contract_reviewer_agent.provisions import Provision, provision

_ELSEWHERE = (
    r"force majeure|beyond (?:its|their|the|his|such) (?:\w+ ){0,3}control|delays? or failures? (?:to"
    r"|in) perform"
)
_INSURANCE = r"insurance|insured|policy limits|coverage of"

RULES: tuple[Provision, ...] = (
    provision(
        "liability.cap",
        "Cap on liability",
        "core",
        4.0,
        r"liab|damages|obligation|exceed|responsib",
        (
            2.0,
            r"(?:total|aggregate|cumulative|entire|maximum|combined|overall)\b.{0,30}\b(?:liability"
            r"|damages|exposure)",
        ),
        (
            2.5,
            r"liab\w*\b.{0,200}?\b(?:not (?:be )?(?:exceed|more than|greater than)|be limited to"
            r"|is limited to|limited to (?:the|an|direct)|capped)",
        ),
        (
            2.5,
            r"(?:not|never|no event|no circumstances)\b.{0,160}?\b(?:exceed|be more than|be greater than)\b",
        ),
        (
            1.5,
            r"(?:exceed(?:ing)?|more than|greater than|in excess of|limited to|capped at)\b.{0,90}?"
            r"(?:fees|amounts?|paid"
            r"|payable|price|rent|\$|€|£|usd|eur|gbp|cap\b|insurance|sum)",
        ),
        (1.0, r"liable|liability|damages"),
        (
            2.5,
            r"(?:not|neither|no|nor|never)\b.{0,80}?\bliable\b.{0,60}?"
            r"\b(?:for more than|in excess of|exceeding)",
        ),
        (
            0.5,
            r"arising (?:out of|from|under|in connection)|relating to|in connection with"
            r"|whether in contract|tort",
        ),
        (-2.5, _ELSEWHERE),
        (-2.0, _INSURANCE),
        (-3.0, r"indemnif\w+ part(?:y|ies)(?:'s)? (?:entire|sole)|exclusive remedy"),
        (-2.0, r"liquidated damages|security deposit"),
        (-3.0, r"tax(?:es)?\b.{0,30}\bliabilit"),
    ),
    provision(
        "liability.excluded_damages",
        "Excluded kinds of damages",
        "core",
        4.0,
        r"damages|loss|liab",
        (
            2.5,
            r"(?:indirect|consequential|incidental|special|punitive|exemplary)\b.{0,40}\b(?:indirect"
            r"|consequential|incidental|special|punitive|exemplary)",
        ),
        (
            1.5,
            r"(?:lost|loss of|anticipated)\s+(?:\w+,? ){0,3}(?:profits?|revenues?|business|data"
            r"|goodwill|savings|income|use)",
        ),
        (
            2.0,
            r"(?:neither|no|not|never|in no event|under no circumstances)\b.{0,120}?\b(?:liable"
            r"|liability|responsib\w*|recover)",
        ),
        (1.5, r"(?:excludes?|waives?|disclaims?|excluded)\b.{0,80}\b(?:damages|loss|liability)"),
        (0.5, r"possibility of (?:such|this|these|those)|advised of|foreseeab|indirect|consequential"),
        (-2.5, _ELSEWHERE),
        (-2.0, _INSURANCE),
        (-2.5, r"indemnif(?:y|ies)\b"),
    ),
    provision(
        "liability.exclusion",
        "Liability excluded altogether",
        "core",
        4.0,
        r"liab|responsib|releas|waive|claim",
        (
            2.0,
            r"(?:shall|will|does|is|are|be|have|bears?|assumes?|accepts?)\s+(?:\w+ ){0,2}?(?:not|no"
            r"|never)\b.{0,40}?\b(?:liable|liability|responsib\w+)",
        ),
        (
            2.0,
            r"(?:not|no|never|neither|in no event|under no circumstances)\b.{0,60}?\b(?:liable|liability)\b",
        ),
        (1.5, r"(?:releases?|waives?|discharges?)\b.{0,80}\b(?:claims?|liabilit|causes? of action)"),
        (
            1.5,
            r"(?:any|all|every)\b.{0,30}\b(?:loss(?:es)?|damages?|injur(?:y|ies)|claims?|theft"
            r"|liability|defects?|errors?|costs?)",
        ),
        (
            1.0,
            r"whatsoever|any kind|howsoever|for any reason|regardless of|whether or not|resulting from"
            r"|caused by|arising",
        ),
        (-3.0, _ELSEWHERE),
        (-1.5, _INSURANCE),
        (-3.0, r"indemnif|hold harmless"),
        (-3.0, r"terminat\w+\b.{0,60}without"),
        (
            -2.5,
            r"tax|partner|joint venture|bind\b|obligation to renew|confidential information"
            r"|not be (?:interpreted|construed)",
        ),
    ),
    provision(
        "liability.carve_outs",
        "What the limit does not cover",
        "supporting",
        3.5,
        r"limit|cap\b|exclu|waive|nothing|unlimited|§",
        (
            2.5,
            r"(?:limit(?:ation|s|ing)?s?|caps?|exclusions?|waivers?|foregoing|nothing in this|section"
            r"|§)(?:\b|(?<=§)).{0,120}?\b(?:not apply|not limit|not exclude|(?:will|shall) (?:limit"
            r"|exclude|restrict)|excludes? or limits?|(?:excludes?|limits?"
            r"|restricts?) (?:any )?(?:\w+ )?liab)",
        ),
        (1.0, r"liab\w*|damages|§"),
        (
            1.0,
            r"gross(?:ly)? negligen|wil+ful|fraud|death|personal injury|indemnif"
            r"|breach(?:es)? of (?:confidential|section|its|§)|unlimited|infring|claims|prohibited by"
            r"|applicable law",
        ),
        (-2.0, r"warrant(?:y|ies)\b.{0,40}not apply|beta|obligations? as an indemnif"),
    ),
    provision(
        "indemnity.duty",
        "Duty to indemnify",
        "core",
        4.0,
        r"indemnif|indemnity|hold\b.{0,40}harmless|reimburse|compensate|make good|defend|against (?:any"
        r"|all|every)",
        (2.0, r"indemnif(?:y|ies)\b|indemnity|(?:hold|save|keep)s?\b.{0,50}\bharmless"),
        (
            1.5,
            r"(?:shall|will|agrees? to|must|hereby|undertakes? to|covenants? to|is (?:required"
            r"|obliged) to)\b.{0,80}?\b(?:indemnify|defend|hold|reimburse|compensate|make good|save"
            r"|keep)",
        ),
        (
            1.5,
            r"(?:against|from|for)\b.{0,60}?\b(?:claims?|loss(?:es)?|damages?|liabilit(?:y|ies)|costs"
            r"|expenses|suits?|demands?)",
        ),
        (1.0, r"defend\b"),
        (
            0.5,
            r"third[- ]part(?:y|ies)|attorneys?'? ?'?s? fees|legal (?:fees|expenses|costs)"
            r"|arising (?:out of|from)",
        ),
        (1.5, r"(?:reimburse|compensate|make good|make)\b.{0,60}\b(?:loss|claims?|damage|liabilit|whole)"),
        (
            -2.5,
            r"(?:obligations?|duty|duties|right) (?:\w+ ){0,4}(?:to indemnify|of indemni"
            r"|as an indemnify|under)",
        ),
        (-1.5, r"business expenses|travel|out-of-pocket expenses (?:incurred )?(?:by|in)|receipts"),
        (-2.0, r"liable\b.{0,60}\bindirect"),
    ),
    provision(
        "indemnity.procedure",
        "Conduct of claims",
        "supporting",
        3.5,
        r"claim|defen[sc]e|settle",
        (1.5, r"prompt(?:ly)?\b.{0,40}?\b(?:notif|notice|written)"),
        (2.0, r"(?:control|conduct|assume|participate)\b.{0,40}?\b(?:defen[sc]e|settlement|claim)"),
        (1.0, r"indemnif|protected party|indemnitee|indemnitor"),
        (1.0, r"settle(?:ment)?\b.{0,80}\bconsent|assist|cooperat"),
    ),
    provision(
        "indemnity.exclusions",
        "Where the indemnity does not apply",
        "supporting",
        4.0,
        r"indemnif|claim|infring",
        (
            2.0,
            r"(?:obligations?|indemni\w+)\b.{0,80}?\b(?:not apply|no obligation|not (?:be )?(?:extend"
            r"|cover|liable))|(?:no|not have any) (?:obligation|duty|liability)\b.{0,60}(?:indemnif"
            r"|claim|this section)",
        ),
        (
            1.5,
            r"combin(?:ation|ed|ing)|modif(?:ication|ied)|unauthori[sz]ed use|not (?:provided"
            r"|authorized|supplied)|misuse|specifications|negligence",
        ),
        (1.0, r"indemnif\w+|infringement|third[- ]party claim|covered claim"),
    ),
)
