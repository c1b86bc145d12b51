"""Rules that find what is paid, and how personal and customer data are handled."""

from __future__ import annotations

from contract_reviewer_agent.provisions import Provision, provision

_MONEY = (
    r"fees?\b|rent\b|invoices?|salary|compensation\b|wages|remuneration|(?:purchase|contract"
    r"|total) price|charges?\b|"
    r"subscription (?:fee|price)|hourly rate|rate of|retainer|royalt(?:y|ies)|commission"
    r"|amounts? (?:due|payable|owed)|payments?\b"
)
_PERSONAL = (
    r"personal (?:data|information)|personally identifiable|gdpr|ccpa|data protection|privacy (?:laws?"
    r"|polic|act|notice)|data subjects?|"
    r"hipaa|protected health information|personal details"
)
_HELD = (
    r"(?:customer|client|company|user|usage|personal|tenant|employee|subscriber|your|our) (?:data"
    r"|content|information)"
)

RULES: tuple[Provision, ...] = (
    provision(
        "payment.duty",
        "What is paid and when",
        "core",
        4.5,
        r"pay|paid|due|invoice|compensat|remit|salary|rent|price",
        (
            2.0,
            r"(?:shall|will|must|agrees? to|is required to|undertakes? to|hereby)\b.{0,60}?\b(?:pay"
            r"|remit|be paid|compensate)\b",
        ),
        (
            2.0,
            r"(?:fees?|rent|invoices?|amounts?|salary|compensation|charges|price|sums?|payments?"
            r"|installments?)\b.{0,80}?\b(?:due\b|payable|are paid|is paid|be paid|must be paid)",
        ),
        (1.5, _MONEY),
        (
            1.0,
            r"(?:\$|€|£|usd|eur|gbp|u\.s\. dollars)\s?\d*|dollars|per (?:hour|month|year|annum|day|week"
            r"|user)|net (?:\d+|thirty|sixty)|within\b.{0,20}\bdays|in advance|in arrears|monthly"
            r"|bi-?weekly|on the (?:first|1st)",
        ),
        (-2.5, r"refund|prorat"),
        (-2.5, r"indemnif|hold harmless|settlement|awards"),
        (-3.0, r"does not excuse|not excuse|regardless of|liab\w+\b.{0,200}exceed"),
        (
            -2.0,
            r"(?:upon|following|after)(?: any| the)? (?:\w+ or )?(?:termination|expiration)"
            r"|final (?:bill|invoice)",
        ),
        (
            -2.5,
            r"late (?:charge|fee)|(?:late|overdue|past due|unpaid)\b.{0,60}\binterest"
            r"|interest\b.{0,60}\b(?:late|overdue|past due)",
        ),
        (-2.0, r"(?:security )?deposit|insurance|premium"),
        (-1.5, r"reimburs|expenses"),
        (-2.0, r"fails? to pay|failure to pay|non-?payment|default"),
        (-2.0, r"terminat\w+\b"),
        (-2.5, r"dispute|disagreement"),
        (-1.5, r"attorneys?'? ?'?s? fees"),
        (-2.5, r"severance|unfair competition"),
    ),
    provision(
        "payment.late",
        "Late payment",
        "own",
        3.5,
        r"late|overdue|past due|unpaid|delinquent|not paid|fails? to pay|interest",
        (
            1.5,
            r"late\b|overdue|past due|unpaid|delinquent|not (?:paid|received)\b.{0,40}\b(?:when|by"
            r"|within|due)|fails? to pay",
        ),
        (
            2.0,
            r"(?:bear|accrue|charge|pay|incur|carry)\w*\b.{0,50}?\b(?:interest|late (?:fee|charge))"
            r"|late (?:fees?|charges?)|interest (?:at|of|on)|\d ?%|percent",
        ),
        (0.5, r"per (?:month|annum|year|day)|monthly|maximum\b.{0,40}\blaw"),
        (-2.0, r"terminat|suspend"),
        (-2.0, r"ownership|voting"),
    ),
    provision(
        "payment.no_refund",
        "No refunds",
        "own",
        3.5,
        r"refund|non-?cancel",
        (
            2.5,
            r"non-?refundable|no refunds?\b|not (?:be )?(?:refunded|refundable|entitled to (?:a"
            r"|any) refund)|non-?cancel",
        ),
        (1.0, r"fees?|payments?|deposits?|amounts?|charges|rent"),
    ),
    provision(
        "payment.increase",
        "Change of price",
        "own",
        4.0,
        r"increas|adjust|chang|modif|rais|revis|escalat",
        (1.5, r"(?:increas|adjust|chang|modif|rais|revis|escalat)\w*"),
        (
            2.0,
            r"(?:increas|adjust|chang|modif|rais|revis|escalat)\w*\b.{0,50}?\b(?:fees?|pric(?:e|es|ing)"
            r"|rates?\b|rent|charges)|(?:fees?|pric(?:e|es|ing)|rates?|rent"
            r"|charges)\b.{0,60}?\b(?:increas|adjust|chang|modif|rais|revis|escalat)",
        ),
        (
            1.0,
            r"may\b|right to|sole|notice|annual|renewal|cpi|consumer price|percent|%|from time to time"
            r"|each (?:year|anniversary)|(?:shall|will) (?:be )?increase",
        ),
        (-3.0, r"liab|cap amount|change order|change of control|scope"),
        (-2.0, r"in writing and signed|waiver, modification|tax rates?"),
        (-2.0, r"interest"),
    ),
    provision(
        "payment.invoicing",
        "Invoicing",
        "supporting",
        3.5,
        r"invoic|bill\b|statement",
        (
            2.0,
            r"(?:send|submit|issue|provide|render|deliver)\w*\b.{0,40}?\b(?:invoices?|bills?\b"
            r"|statements?)|invoiced?\b.{0,30}\b(?:monthly|annually|quarterly)",
        ),
        (1.5, r"in arrears|in advance|monthly|quarterly|annually|payment process|each month"),
        (0.5, r"fees|services|hours"),
        (-2.0, r"final (?:bill|invoice)"),
    ),
    provision(
        "payment.automatic",
        "Automatic charges",
        "own",
        3.5,
        r"charge|debit|deduct",
        (
            2.0,
            r"(?:automatically|authori[sz]es?)\b.{0,60}?\b(?:charge|debit|bill\b)|(?:charge"
            r"|debit)\b.{0,40}\b(?:card|account|payment method)",
        ),
        (1.5, r"credit card|debit card|payment method|bank account|on file|direct debit"),
    ),
    provision(
        "payment.taxes",
        "Taxes",
        "supporting",
        3.5,
        r"tax|vat\b",
        (1.5, r"tax(?:es)?\b|vat\b|gst\b|levies|withhold"),
        (2.0, r"(?:responsible|pay|exclusive of|bear|liable)\b.{0,60}?\b(?:tax|duties|vat|levies)"),
        (0.5, r"fees|invoice|amounts|rent"),
    ),
    provision(
        "payment.dispute",
        "Disputed invoices",
        "supporting",
        3.5,
        r"disput|disagree|contest",
        (
            2.0,
            r"(?:disput|disagree|contest)\w*\b.{0,80}?\b(?:invoice|fees|charge|amount|payment)"
            r"|(?:invoice|fees|charge|amount)\w*\b.{0,60}?\b(?:disput|contest)",
        ),
        (1.5, r"good[- ]faith|undisputed|withhold|within\b.{0,20}days"),
        (-2.0, r"suspend|terminat"),
    ),
    provision(
        "data_protection.duty",
        "Handling of personal data",
        "core",
        3.5,
        r"personal|gdpr|ccpa|privacy|data protection|hipaa|health information",
        (2.0, _PERSONAL),
        (
            1.5,
            r"process(?:es|ing|ed)?\b|compl(?:y|ies|iance)|protect\b|safeguard"
            r"|data processing (?:agreement|addendum)|\bdpa\b|sub-?processors?|controller|processor"
            r"|encrypt|handle\b|in accordance with"
            r"|collect",
        ),
        (0.5, r"shall|must|will|agrees?"),
        (-2.0, r"machine learning|artificial intelligence|train\b"),
        (-2.0, r"indemnif|liab\w+\b.{0,120}exceed|not apply"),
        (-2.0, r"surviv\w+ (?:expiration|termination)"),
        (-1.5, r"nothing in this"),
    ),
    provision(
        "data_protection.security",
        "Security of data",
        "core",
        4.0,
        r"secur|safeguard|encrypt",
        (
            1.5,
            r"(?:security|safeguards?|technical|organi[sz]ational)\b.{0,40}?\b(?:measures|program"
            r"|controls|safeguards|standards|polic)|safeguards|encrypt",
        ),
        (1.5, _HELD + r"|" + _PERSONAL),
        (1.0, r"maintain|implement|appropriate|industry[- ]standard|commercially reasonable|administrative"),
        (-3.0, r"deposit|social security|securities|security interest"),
        (-1.5, r"background|premises"),
    ),
    provision(
        "data_protection.breach_notice",
        "Notice of data breaches",
        "supporting",
        3.5,
        r"breach|incident|unauthori[sz]ed",
        (
            2.0,
            r"(?:security|data|personal data) (?:breach|incident)|unauthori[sz]ed (?:access|disclosure"
            r"|acquisition)",
        ),
        (1.5, r"notif\w+|notice|inform\b"),
        (0.5, r"hours|days|without undue delay|promptly"),
        (-3.0, r"passwords?|credentials"),
    ),
    provision(
        "data_protection.use_of_data",
        "Supplier's own use of data",
        "own",
        4.0,
        r"data|content|information",
        (1.5, _HELD),
        (
            2.0,
            r"(?:use|used|uses|analy[sz]e|process|exploit|sell|share"
            r"|commerciali[sz]e)\b.{0,120}?\b(?:train|machine learning|artificial intelligence|develop"
            r"|improve|enhance|promote|benchmark|analytics|own (?:business )?purposes|any purpose"
            r"|marketing|monetiz)|(?:sell|monetiz|commerciali[sz]e)\w*\b.{0,50}\bdata",
        ),
        (1.0, r"may\b|right to|authori[sz]es?|grants?|licen[sc]e"),
        (-3.0, r"(?:shall|will|may) not (?:use|sell|share|disclose|process)|confidential information"),
        (-1.5, r"only as needed|solely to provide"),
    ),
    provision(
        "data_protection.deletion",
        "Deletion of data",
        "supporting",
        3.5,
        r"delet|eras|destroy|return",
        (2.0, r"delet\w+|eras\w+|destroy|return"),
        (1.5, _HELD),
        (0.5, r"within|days|request|terminat"),
    ),
)
