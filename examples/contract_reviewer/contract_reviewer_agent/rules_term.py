"""Rules that find how long the contract lasts, how it ends, and which law and courts rule it."""

from __future__ import annotations

from contract_reviewer_agent.provisions import Provision, provision

_END = (
    r"terminat(?:e|es|ed|ing|ion)\b|cancel(?:l?ed|l?ation)?\b|end (?:this|these|the)"
    r"|bring\b.{0,30}\bto an end|give notice to end"
)
_RIGHT = (
    r"(?:may|can|shall have the right to|has the right to|have the right to|is entitled to"
    r"|are entitled to|reserves the right to|"
    r"right to|be)\b.{0,80}?\b(?:terminat|cancel|end\b|re-?enter|bring\b.{0,30}\bto an end)"
)

RULES: tuple[Provision, ...] = (
    provision(
        "termination.for_cause",
        "Termination for breach or insolvency",
        "core",
        4.0,
        r"terminat|cancel|re-?enter|dismiss|end th(?:is|e|ese)|to an end",
        (1.5, _END),
        (1.0, _RIGHT + r"|terminat\w+ (?:for|with) cause|for cause"),
        (
            1.5,
            r"(?:material(?:ly)?|substantial(?:ly)?|any|in)?\s*(?:breach(?:es)?|defaults?)\b|fail(?:s"
            r"|ure)? to (?:cure|pay|perform|comply|remedy)|for cause|misconduct",
        ),
        (
            1.0,
            r"cure\b|cured\b|remed(?:y|ied)\b|(?:\d+|ten|fifteen|thirty|sixty)\)? (?:calendar "
            r"|business )?days",
        ),
        (1.5, r"insolven|bankrupt|receiver|assignment for the benefit|winding[- ]up|administrat(?:ion|or)"),
        (0.5, r"immediately|written notice|upon notice|forthwith"),
        (
            -2.0,
            r"(?:upon|after|following|on)(?: any| the)?(?: such)? (?:expiration|expiry|termination)"
            r"|effect of termination|surviv",
        ),
        (-2.0, r"indemnif|refund\b.{0,40}\bremedy|exclusive remedy"),
    ),
    provision(
        "termination.convenience",
        "Termination without cause",
        "core",
        4.0,
        r"terminat|cancel|at[- ]will|end this",
        (1.5, _END),
        (1.0, _RIGHT + r"|terminable|either party"),
        (
            2.0,
            r"for (?:its |their |any |no |mere )?convenience|for any reason|for no reason"
            r"|with(?:out)? or with(?:out)? cause|without cause|at any time|at[- ]will"
            r"|without (?:giving )?(?:any )?reason",
        ),
        (1.0, r"(?:at[- ]will|for any|without|prior)\b.{0,80}\b(?:notice|reason|cause)|notice"),
        (1.0, r"(?:on|upon|by|with)\b.{0,50}?\bnotice"),
        (-2.0, r"if\b|in the event|where\b|should\b"),
        (2.0, r"(?:employment|engagement|relationship)\b.{0,40}\bat[- ]will"),
        (-2.0, r"material(?:ly)? breach|fails? to (?:cure|pay|perform|comply)|insolven|bankrupt"),
        (-2.0, r"(?:upon|after|following)(?: any| the)?(?: such)? (?:expiration|expiry|termination)|consent"),
    ),
    provision(
        "termination.special",
        "Termination in a special case",
        "own",
        4.0,
        r"terminat|cancel",
        (1.5, _END),
        (1.5, _RIGHT),
        (1.0, r"if\b|in the event|where\b|should\b|to comply|upon"),
        (
            1.5,
            r"immediately|without (?:prior )?notice|sole discretion|force majeure|export|sanctions?"
            r"|change of control|condemn|casualty|destroyed|untenantable|infring|commence|adjustment",
        ),
        (-1.5, r"renew"),
        (-2.0, r"(?:upon|after|following)(?: any| the)? (?:expiration|expiry|termination)"),
    ),
    provision(
        "termination.suspension",
        "Suspension",
        "own",
        3.5,
        r"suspend|suspension",
        (2.0, r"suspend\b|suspension of"),
        (1.0, r"access|services?|accounts?|performance|work\b|deliver"),
        (0.5, r"may|right|entitled"),
        (0.5, r"without notice|overdue|outstanding|breach|violat"),
    ),
    provision(
        "termination.fee",
        "Price of ending early",
        "own",
        4.0,
        r"terminat|cancel|surrender|break",
        (
            2.0,
            r"(?:early )?(?:termination|cancellation|break) (?:fees?|charges?|penalt(?:y|ies)"
            r"|payments?)|liquidated damages",
        ),
        (
            2.0,
            r"(?:remain(?:ing|der)|balance|unexpired|all (?:fees|amounts|sums))\b.{0,100}?\b(?:due"
            r"|payable|pay|accelerat)",
        ),
        (1.5, _END),
        (0.5, r"immediately|shall pay|must pay|will pay|accelerat|owed"),
        (-2.5, r"refund|accrued|final (?:bill|invoice)|prorat"),
    ),
    provision(
        "termination.effect",
        "What happens at the end",
        "supporting",
        3.5,
        r"terminat|expir|end of",
        (
            2.0,
            r"(?:up)?on (?:the |any )?(?:\w+ or )?(?:such )?(?:termination|expiration|expiry)|(?:after"
            r"|following|in the event of|effective date of)(?: any| the"
            r"| such)? (?:\w+ or )?(?:termination|expiration|expiry)|at the (?:end"
            r"|expiration) of (?:the|this)|(?:expiration|termination) or (?:termination|expiration)",
        ),
        (
            1.5,
            r"return|destroy|delet|cease|surrender|vacate|surviv|refund|final (?:bill|invoice|payment)"
            r"|no longer|discontinue|accrued|deliver\b|paid|pay\b",
        ),
        (0.5, r"promptly|within|immediately|days"),
        (-1.5, r"(?:may|right to) terminate"),
        (-2.0, r"(?:non-?compet|solicit)"),
        (-1.5, r"renew"),
        (-2.0, r"licen[sc]e|royalty"),
    ),
    provision(
        "renewal.automatic",
        "Automatic renewal",
        "core",
        4.0,
        r"renew|extend|roll|continue",
        (2.0, r"renew(?:s|al|als|ed|ing)?\b|extend(?:s|ed)?\b|roll(?:s)? over|extension"),
        (
            2.0,
            r"automatic(?:ally)?\b.{0,80}?\b(?:renew|extend|continu|roll)|(?:renew"
            r"|extend)\w*\b.{0,60}?\bautomatic|(?:shall|will) (?:\w+ ){0,3}(?:renew|be (?:renewed"
            r"|extended|deemed (?:renewed|extended)))\b|continues?\b.{0,40}\b(?:month[- ]to[- ]month"
            r"|year to year)",
        ),
        (
            1.0,
            r"(?:successive|additional|further|subsequent|equal|like|consecutive)\b.{0,40}?\b(?:terms?"
            r"|periods?|years?|months?)|month[- ]to[- ]month|year to year",
        ),
        (
            1.0,
            r"(?:unless|until)\b.{0,120}?\b(?:notice|notif|terminat|cancel|non-?renew|otherwise)"
            r"|notice of non-?renewal|not to renew",
        ),
        (-2.5, r"option to|may (?:elect to )?renew|renew (?:any |its )?(?:insurance|polic)"),
        (-2.0, r"increase\b.{0,60}renewal"),
        (-2.0, r"deadline|time for (?:performance|delivery)|delivery date"),
    ),
    provision(
        "renewal.option",
        "Option to renew or extend",
        "core",
        4.0,
        r"renew|extend|extension",
        (
            2.0,
            r"(?:option|right|may|elect|entitled|opportunity|privilege)\b.{0,50}?\b(?:renew|extend"
            r"|extension)|(?:renew(?:al|ed)?|extend(?:ed)?)\b.{0,60}?\b(?:only )?(?:by|upon"
            r"|with)\b.{0,30}\b(?:agreement|consent|writing|notice)",
        ),
        (
            1.5,
            r"(?:this|the|of|initial|additional|further|one)\b.{0,40}?\b(?:term|period|lease|agreement"
            r"|contract|year|month)",
        ),
        (1.0, r"(?:year|month|day)s?\b|in writing|written|mutual"),
        (-2.5, r"automatic"),
        (-2.0, r"deadline|time for (?:performance|delivery|payment)|due date"),
    ),
    provision(
        "renewal.term",
        "Length of the contract",
        "supporting",
        3.5,
        r"term\b|period|commenc|effective|continue|start|years?|months?",
        (
            2.0,
            r"(?:the|initial|this|lease) term\b.{0,60}?\b(?:is|shall|will|of|begin|commence|start|from)"
            r"|term of (?:this|the)|(?:agreement|lease|contract|terms?|employment"
            r"|engagement)\b.{0,30}?\b(?:commences?|begins?|starts?|takes effect|is effective"
            r"|continues?|will start|shall (?:commence|begin|start|continue|remain))",
        ),
        (1.0, r"commenc|begin|start|continu|expire|end\b|remain in (?:full )?(?:force|effect)"),
        (
            1.0,
            r"(?:\d+|one|two|three|four|five|six|twelve|eighteen|twenty-four"
            r"|thirty-six)\)?[ -](?:calendar )?(?:year|month|day|week)s?",
        ),
        (1.0, r"(?:19|20)\d\d\b.{0,60}\b(?:19|20)\d\d\b|effective date"),
        (-2.0, r"surviv|confidential|terminat\w+ (?:of|immediately)|invalid|unenforceable|remedy"),
    ),
    provision(
        "governing_law.law",
        "Choice of law",
        "core",
        3.5,
        r"law",
        (
            1.5,
            r"govern(?:s|ed|ing)?\b|laws? (?:shall |will )?appl(?:y|ies)\b(?! to)|subject to|construed"
            r"|interpreted",
        ),
        (1.0, r"laws? of|\blaw\b|laws\b"),
        (
            1.5,
            r"construed|interpret|enforced|disputes?|conflicts? of laws?|without regard|choice of law"
            r"|laws? of (?:the )?(?:state|commonwealth|province|republic|\[|_|[a-z]+)",
        ),
        (
            1.0,
            r"this (?:\w+ ){0,2}(?:agreement|lease|contract|letter|deed|terms|nda)\b.{0,80}?\bgoverned"
            r"|governing law|laws? (?:shall |will )?(?:governs?|appl(?:y|ies))\b(?! to)|(?:governed"
            r"|construed)\b.{0,60}\blaws?\b",
        ),
        (-3.0, r"personal data|data protection|gdpr|export|anti-?(?:brib|corrupt)|sanction"),
        (-2.0, r"comply with|compliance with|required by law"),
        (-2.0, r"invalid|unenforceable|severab"),
        (-2.0, r"work(?:s)? made for hire|confidential information"),
        (
            -2.0,
            r"represents? and warrants?|duly (?:organi|incorporat)|(?:organized|incorporated|existing) under",
        ),
    ),
    provision(
        "governing_law.courts",
        "Courts and venue",
        "own",
        3.5,
        r"jurisdiction|courts?|venue",
        (1.5, r"jurisdiction|venue|courts? (?:of|in|located|sitting)|chosen courts|competent courts?"),
        (1.0, r"courts?\b.{0,60}?\bjurisdiction|jurisdiction of the\b.{0,40}\bcourts?"),
        (1.5, r"exclusive|sole jurisdiction|submits?|consents? to|brought|bring|located in|situated"),
        (1.0, r"suits?|actions?|proceedings?|disputes?|claims|litigation"),
        (
            -2.5,
            r"injunct|equitable relief|order of (?:a|any) court|required by|invalid|unenforceable"
            r"|enter(?:ed)? in any court|subpoena",
        ),
    ),
    provision(
        "governing_law.arbitration",
        "Arbitration",
        "own",
        3.5,
        r"arbitrat",
        (
            2.5,
            r"(?:binding|final|submitted|resolved|settled|referred|determined)\b.{0,80}?\barbitrat"
            r"|arbitrat\w+\b.{0,80}?\b(?:rules|binding|final|administered|conducted)",
        ),
        (1.0, r"disputes?|claims?|controvers"),
        (0.5, r"AAA|JAMS|ICC|LCIA|UNCITRAL|american arbitration|arbitrators?"),
    ),
    provision(
        "governing_law.jury",
        "Waiver of jury trial or class actions",
        "own",
        3.5,
        r"jury|class action",
        (2.5, r"waives?\b.{0,80}?\b(?:jury|class action)|(?:jury|class action)\b.{0,40}\bwaive"),
        (1.0, r"trial|right|class"),
    ),
)
