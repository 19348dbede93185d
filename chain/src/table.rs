//! The table of a tool's options. It exists once and drives the parser ([`mod@crate::parse`]), `--help`, the man page and
//! completion ([`crate::pages`], [`crate::completion`]).

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Exactly these values, named for the manual; the first may also be joined by `=`.
    Values(&'static [&'static str]),
    /// The same, each a word of its own in any case.
    Words(&'static [&'static str]),
    /// A value only when joined by `=`.
    Optional(&'static str),
}

/// One option of a tool. `K` is the tool's own enum of options.
#[derive(Clone, Copy, Debug)]
pub struct Flag<K: 'static> {
    /// What `args` matches on.
    pub key: K,
    /// The long name, without dashes.
    pub long: &'static str,
    /// The short letter, only where util-linux has the same one.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// The words that the first value is one of, for completion; one that ends in `=` goes on with a path.
    pub among: &'static [&'static str],
    /// Whether it may be given more than once. Anything else given twice is an error.
    pub repeats: bool,
    /// One line for `--help`. More (default, units, kernel version) may stand in the manual, under `## --LONG`.
    pub help: &'static str,
}

impl<K: Copy> Flag<K> {
    /// An option that takes nothing and may be given once.
    pub const fn new(key: K, long: &'static str, help: &'static str) -> Self {
        Self { key, long, short: None, takes: Takes::Nothing, among: &[], repeats: false, help }
    }

    /// With a short letter.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// With these values.
    pub const fn takes(mut self, values: &'static [&'static str]) -> Self {
        self.takes = Takes::Values(values);
        self
    }

    /// With these values, none of them joined by `=`.
    pub const fn words(mut self, values: &'static [&'static str]) -> Self {
        self.takes = Takes::Words(values);
        self
    }

    /// With a value only when joined by `=`.
    pub const fn optional(mut self, value: &'static str) -> Self {
        self.takes = Takes::Optional(value);
        self
    }

    /// With a first value that is one of these words.
    pub const fn among(mut self, words: &'static [&'static str]) -> Self {
        self.among = words;
        self
    }

    /// May be given more than once.
    pub const fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }
}

/// A tool: its options and the prose of its man page. The one source of everything that is printed about it.
#[derive(Debug)]
pub struct Table<K: 'static> {
    /// The tool's name.
    pub tool: &'static str,
    /// One line: what it is.
    pub summary: &'static str,
    /// The prose of the man page ([`crate::pages::part`]): first the layer, then under `## --LONG` what there is to say about
    /// an option, then the sections, whose headings are in capitals. `PROCESS MODEL`, `EQUIVALENT`, `EXAMPLES` and `SECURITY`
    /// are expected of every tool.
    pub manual: &'static str,
    /// The tool's own options, in the order of the manual.
    pub flags: &'static [Flag<K>],
}

/// The options that every tool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommonKey {
    Verbose,
    Explain,
    Check,
    KeepFd,
    Env,
    Argv0,
    Features,
    Help,
    Version,
    Man,
    Completion,
}

/// One table for the options that all six share, so that they are spelled and described once.
pub(crate) const COMMON: &[Flag<CommonKey>] = &[
    Flag::new(CommonKey::Verbose, "verbose", "say each step as it is done, with microseconds").short('v'),
    Flag::new(CommonKey::Explain, "explain", "print the steps, change nothing, ask the next tool the same")
        .optional("json")
        .among(&["json"]),
    Flag::new(CommonKey::Check, "check", "parse and plan, change nothing, execute nothing"),
    Flag::new(CommonKey::KeepFd, "keep-fd", "leave descriptor N open for PROG; all but 0, 1, 2 are closed")
        .takes(&["N"])
        .repeats(),
    Flag::new(CommonKey::Env, "env", "only this variable, and others so named, in PROG's environment")
        .takes(&["NAME[=VALUE]"])
        .repeats(),
    Flag::new(CommonKey::Argv0, "argv0", "the name that PROG finds as its own (argv[0])").takes(&["NAME"]),
    Flag::new(CommonKey::Features, "features", "print what this kernel offers the layer"),
    Flag::new(CommonKey::Help, "help", "print this help").short('h'),
    Flag::new(CommonKey::Version, "version", "print the version").short('V'),
    Flag::new(CommonKey::Man, "man", "print the manual page (TOOL --man | man -l -)"),
    Flag::new(CommonKey::Completion, "completion", "print completions for SHELL: bash, zsh or fish")
        .takes(&["SHELL"])
        .among(&["bash", "zsh", "fish"]),
];
