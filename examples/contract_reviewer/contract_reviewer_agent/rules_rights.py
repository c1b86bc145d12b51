"""Rules that find who may know and own what: confidentiality and intellectual property."""

from __future__ import annotations

from contract_reviewer_agent.provisions import Provision, provision

_IN_CONFIDENCE = (
    r"confidential(?:ity)? (?:\w+ )?(?:information|materials?|data|obligations?)"
    r"|proprietary (?:or confidential )?information|"
    r"trade secrets?|evaluation material|disclosing party|receiving party|discloser|recipient"
    r"|in (?:strict )?confidence|"
    r"strictly confidential|(?:keep|hold|treat|kept|held|treated)\b.{0,60}\b(?:confidential|secret)"
)
_LOGIN = r"passwords?|credentials|log-?in|user ids?|usernames?"

RULES: tuple[Provision, ...] = (
    provision(
        "confidentiality.duty",
        "Duty of confidence",
        "core",
        3.5,
        r"confiden|proprietary|secret|disclos|evaluation material|divulge",
        (1.5, _IN_CONFIDENCE),
        (
            2.0,
            r"(?:not|never|no|refrain from|neither)\b.{0,90}?\b(?:disclos|divulge|reveal|publish"
            r"|communicat|use\b.{0,60}\bconfidential)",
        ),
        (
            2.0,
            r"(?:hold|keep|maintain|treat|protect|safeguard|preserve)\b.{0,90}?\b(?:confiden|secre"
            r"|strict|in trust)",
        ),
        (
            1.0,
            r"(?:protect|safeguard|degree of care|standard of care)\b.{0,80}?\b(?:care|information)"
            r"|only (?:for|to) the (?:purpose|extent)|solely for",
        ),
        (-4.0, _LOGIN),
        (-2.5, r"does not include|shall not include|excludes?|not apply to information"),
        (-2.0, r"usage data|personal data|feedback"),
        (-2.0, r"irreparable|injunct"),
        (-1.5, r"whistle|government agency|securities and exchange"),
        (-2.5, r"(?:upon|following|after)\b.{0,40}\bterminat"),
        (-2.0, r"retain\b"),
        (-2.5, r"may (?:only )?(?:disclose|be disclosed)"),
    ),
    provision(
        "confidentiality.exclusions",
        "What is not confidential",
        "supporting",
        4.0,
        r"public|independently|known|knew",
        (
            2.0,
            r"(?:does|do|shall|will) not (?:include|apply|extend)|excludes?|exceptions?"
            r"|other than information|no obligation",
        ),
        (1.5, r"public(?:ly)?\b|generally available|public domain"),
        (1.0, r"independently developed|already (?:known|in)|rightfully|knew\b|prior to disclosure"),
        (1.0, r"confiden\w+|information|receiving party|recipient"),
        (-2.0, r"personal data|usage data"),
    ),
    provision(
        "confidentiality.compelled",
        "Disclosure required by law",
        "supporting",
        4.0,
        r"disclos(?:e|ed|ure|ing)\b",
        (
            2.5,
            r"(?:required|compelled|obliged|ordered|requested)\b.{0,40}?\b(?:law|court|order|subpoena"
            r"|regulat|legal|judicial)",
        ),
        (1.0, r"disclos(?:e|ed|ure|ing)\b"),
        (1.0, r"confidential|recipient|receiving party|prompt notice|advance notice|notify|information"),
        (-2.0, r"personal data\b"),
    ),
    provision(
        "confidentiality.permitted",
        "Permitted recipients",
        "supporting",
        3.5,
        r"disclos|need|share",
        (2.5, r"need[- ]to[- ]know|need to know|bound by\b.{0,60}?\b(?:confiden|obligations)"),
        (1.0, r"disclos\w+|share"),
        (0.5, r"employees|advis[oe]rs|representatives|contractors|affiliates|directors"),
    ),
    provision(
        "confidentiality.duration",
        "How long the duty lasts",
        "supporting",
        3.5,
        r"confiden|disclos|secret|non-?use",
        (
            2.0,
            r"(?:confiden|disclos|secre|obligations|non-?use)\w*\b.{0,160}?\b(?:surviv|remain in"
            r"|continue|for a period|expire|last)",
        ),
        (
            1.5,
            r"(?:\d+|one|two|three|four|five|seven|ten)\)?[ -]years?|perpetu|indefinite|forever"
            r"|so long as|in perpetuity",
        ),
        (1.0, r"following|after|from the date|thereafter|terminat|disclosure"),
        (-3.0, r"personal data|customer content|non-?compet|solicit"),
    ),
    provision(
        "confidentiality.return",
        "Return of confidential information",
        "supporting",
        3.5,
        r"return|destroy|destruction",
        (2.0, r"return\w*|destroy\w*|destruction"),
        (1.5, _IN_CONFIDENCE),
        (0.5, r"upon|request|promptly|copies"),
        (-3.0, r"(?:upon|following|after)(?: any| the)? (?:expiration|expiry) or"),
    ),
    provision(
        "intellectual_property.ownership",
        "Ownership kept",
        "core",
        3.5,
        r"intellectual|title|patent|copyright|own(?:s|ed|ership)|proprietary rights|inventions"
        r"|deliverables|work product|reserve|retain",
        (
            2.0,
            r"retains?|reserves?|remains?\b|belongs? (?:to|exclusively|solely)|vests?\b|(?:is|are|be"
            r"|shall) (?:and (?:shall|will) remain )?(?:the )?(?:\w+ ){0,3}(?:property of|owned by)"
            r"|owns\b|(?:shall|will|to) own\b|sole(?: and exclusive)? (?:property|owner)|exclusive property",
        ),
        (
            2.0,
            r"right,? title,?|title,? and interest|intellectual property|ip rights|copyrights?|patents?"
            r"|proprietary rights|work product|inventions|deliverables|developments|source code"
            r"|trademarks|pre-?existing (?:\w+ )?(?:materials|works?|property|tools)|background (?:ip"
            r"|technology|tools|materials)",
        ),
        (0.5, r"in and to|all\b|exclusive|no (?:right|licen[sc]e|title)"),
        (-2.5, r"premises|quiet enjoyment|leased|equipment|fixtures|risk of loss|goods"),
        (-2.0, r"indemnif|infring\w+ (?:claim|any)"),
        (-2.5, r"represents? and warrants?|voting (?:stock|shares)|securities"),
        (-2.0, r"assigns?\b.{0,80}\b(?:right|title|invention)"),
        (-1.5, r"(?:remain|continue) in (?:full )?(?:force|effect)"),
        (-3.0, r"injunct|equitable relief|irreparable"),
    ),
    provision(
        "intellectual_property.assignment",
        "Assignment of work and inventions",
        "core",
        3.5,
        r"assign|work(?:s)? (?:made )?for hire|transfer",
        (
            1.5,
            r"(?:hereby|irrevocably|agrees? to|shall|will|does)\b.{0,40}?\b(?:assign|transfer)s?\b"
            r"|assigns?\b|assignment",
        ),
        (
            2.0,
            r"inventions?|work product|intellectual property|right,? title|deliverables|copyrights?"
            r"|developments|patents?|moral rights|works? of authorship",
        ),
        (2.0, r"work(?:s)? (?:made )?for hire"),
        (
            -4.0,
            r"(?:assign|transfer)\w*\b.{0,30}?\b(?:this (?:agreement|lease|contract)|any (?:rights"
            r"|of its rights)|(?:its|their|any|all) (?:rights|interest) or|rights (?:or"
            r"|and) (?:obligations|duties))|for the benefit of (?:its )?creditors|assignment of this"
            r"|sublet",
        ),
        (-2.0, r"licen[sc]e[sd]?\b.{0,30}\bnon-?(?:exclusive|transferable)"),
    ),
    provision(
        "intellectual_property.licence",
        "Licence granted",
        "own",
        3.5,
        r"licen[sc]e|right to use",
        (
            2.5,
            r"grants?\b.{0,100}?\b(?:licen[sc]e|right to use|right and)|(?:licen[sc]e"
            r"|right) (?:is )?(?:hereby )?granted|receives? a\b.{0,40}licen",
        ),
        (
            1.0,
            r"non-?exclusive|non-?transferable|exclusive|worldwide|royalty-free|perpetual|irrevocable"
            r"|revocable|limited|sublicens",
        ),
        (
            0.5,
            r"software|service|product|documentation|content|materials|work|deliverable|trademark|data|ip\b",
        ),
        (
            -2.5,
            r"no (?:right or )?licen[sc]e|nothing\b.{0,60}\bgrant|not (?:be construed|grant)|except for the",
        ),
        (-2.0, r"(?:real estate|driver'?s|business) licen|licen[sc]e to occupy"),
    ),
    provision(
        "intellectual_property.restrictions",
        "Limits on use",
        "own",
        3.5,
        r"reverse|decompil|disassembl|derivative",
        (2.5, r"reverse[- ]engineer|decompile|disassemble|derivative works?"),
        (
            1.0,
            r"(?:not|nor|no|neither|prohibit|refrain)\b.{0,140}?\b(?:reverse|decompile|disassemble"
            r"|modify|copy|create)",
        ),
        (-2.0, r"feedback|hereby assign"),
    ),
    provision(
        "intellectual_property.feedback",
        "Free use of feedback",
        "own",
        3.5,
        r"feedback|suggestions",
        (2.0, r"feedback|suggestions"),
        (
            1.5,
            r"(?:use|exploit|incorporate)\b.{0,60}?\b(?:freely|without|any purpose)"
            r"|without (?:any )?(?:restriction|obligation|compensation)|assigns?\b|licen[sc]e",
        ),
        (0.5, r"may|all\b"),
        (-2.0, r"excludes? feedback"),
    ),
    provision(
        "intellectual_property.publicity",
        "Use of name and logo",
        "own",
        3.5,
        r"logos?|trademarks?|publicity|press release|name",
        (
            2.0,
            r"(?:names?|marks?),? (?:and|or|and/or) (?:\w+ ){0,2}(?:logos?|marks?|trademarks?)|logos?\b"
            r"|likeness",
        ),
        (
            1.5,
            r"marketing|publicity|press|promot|advertis|identify\b.{0,60}\b(?:as|customer|client|user)"
            r"|customer list|website",
        ),
        (0.5, r"may|grants?|right|consent"),
        (-2.0, r"remove\b|proprietary notices"),
        (-1.0, r"confusingly"),
    ),
)
