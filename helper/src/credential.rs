//! `axon-helper credential`: answers git's question for a user name and password.
//!
//! Set by its path alone in the clone's settings. What it answers stands in files that are read anew
//! each time, so a push hours after the checkout takes the newest token. It answers for one host only.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::PathBuf;

use crate::options::USAGE_EXIT;
use crate::options::complain;
use crate::secret_files;

/// The word that this is called by.
pub const WORD: &str = "credential";
/// The user name that servers take a token with.
pub const TOKEN_USER: &str = "x-access-token";
/// Keys of the Secret.
pub const TOKEN: &str = "GITHUB_TOKEN";
pub const USERNAME: &str = "username";
pub const PASSWORD: &str = "password";

/// Longest question: git's own limit for a line is less.
const MAX_QUESTION: u64 = 64 << 10;

/// Whom it answers for, and where the answer stands.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    protocol: String,
    /// With the port where the URL has one.
    host: String,
    credentials_dir: PathBuf,
    operation: Operation,
}

/// What git wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Operation {
    Get,
    /// To be told what worked or not: nothing is kept here.
    #[default]
    Other,
}

/// What is answered. Not to be printed.
#[derive(PartialEq, Eq)]
enum Answer {
    /// Somebody else may know.
    Nothing,
    Found {
        username: String,
        password: String,
    },
    /// Nobody else is to be asked, and no person either.
    Quit(String),
}

/// The command line after the word; gives the exit code.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> i32 {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => {
            complain(&error);
            return USAGE_EXIT;
        }
    };
    let mut question = String::new();
    let heard = io::stdin().take(MAX_QUESTION).read_to_string(&mut question);
    let answer = match heard {
        Ok(_) => answer(&options, &question),
        Err(error) => Answer::Quit(format!("cannot read what git asks: {error}")),
    };
    if let Answer::Quit(why) = &answer {
        complain(why);
    }
    // A git that no longer listens needs no answer.
    let _ = io::stdout().write_all(answer.to_string().as_bytes());
    0
}

impl Options {
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut args = args;
        let mut options = Self::default();
        while let Some(word) = args.next() {
            let word = word.to_string_lossy().into_owned();
            if !word.starts_with("--") {
                if word == "get" {
                    options.operation = Operation::Get;
                }
                break;
            }
            let value = args
                .next()
                .ok_or_else(|| format!("\"{word}\" needs a value"))?;
            let text = || value.to_string_lossy().into_owned();
            match word.as_str() {
                "--protocol" => options.protocol = text(),
                "--host" => options.host = text(),
                "--credentials-dir" => options.credentials_dir = PathBuf::from(&value),
                _ => return Err(format!("unknown flag \"{word}\"")),
            }
        }
        let lacks = |flag: &str| Err(format!("\"{flag}\" is missing"));
        if options.protocol.is_empty() {
            return lacks("--protocol");
        }
        if options.host.is_empty() {
            return lacks("--host");
        }
        if options.credentials_dir.as_os_str().is_empty() {
            return lacks("--credentials-dir");
        }
        Ok(options)
    }
}

fn answer(options: &Options, question: &str) -> Answer {
    let asked = |key: &str| {
        let mut lines = question.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let same = |key: &str, own: &str| asked(key).is_some_and(|it| it.eq_ignore_ascii_case(own));
    let ours = same("protocol", &options.protocol) && same("host", &options.host);
    match options.operation {
        Operation::Get if ours => found(options),
        Operation::Get | Operation::Other => Answer::Nothing,
    }
}

fn found(options: &Options) -> Answer {
    let read = secret_files::read(&options.credentials_dir, &[TOKEN, USERNAME, PASSWORD]);
    let (username, password) = match read.as_deref() {
        Ok([Some(token), _, _]) => (TOKEN_USER, token),
        Ok([None, Some(username), Some(password)]) => (username.as_str(), password),
        Ok(_) => {
            let told = format!(
                "there is neither \"{TOKEN}\" nor \"{USERNAME}\" and \"{PASSWORD}\" in \"{}\"",
                options.credentials_dir.display()
            );
            return Answer::Quit(told);
        }
        Err(error) => return Answer::Quit(error.to_string()),
    };
    let (username, password) = (username.trim().to_owned(), password.trim().to_owned());
    // A line's end would begin another line of the answer.
    if [&username, &password]
        .iter()
        .any(|it| it.contains(char::is_control))
    {
        return Answer::Quit("the credential has a control character".into());
    }
    Answer::Found { username, password }
}

/// As git reads it.
impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Found { username, password } => {
                write!(out, "username={username}\npassword={password}\n")
            }
            Self::Quit(_) => out.write_str("quit=1\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn ask(files: &[(&str, &str)], line: &str, question: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let words = line.split(' ').map(|word| match word {
            "DIR" => dir.path().into(),
            other => OsString::from(other),
        });
        answer(&Options::parse(words).unwrap(), question).to_string()
    }

    const GET: &str = "--protocol https --host git.io:8443 --credentials-dir DIR get";
    const QUESTION: &str = "protocol=https\nhost=git.io:8443\n";

    #[test]
    fn a_token_and_a_password() {
        let both = [("username", "bob\n"), ("password", "pass=word\n")];
        assert_eq!(
            ask(&both, GET, QUESTION),
            "username=bob\npassword=pass=word\n"
        );
        let token = [("GITHUB_TOKEN", "tok\n"), both[0], both[1]];
        assert_eq!(
            ask(&token, GET, QUESTION),
            "username=x-access-token\npassword=tok\n"
        );
    }

    #[test]
    fn only_its_own_host_is_answered() {
        let token = [("GITHUB_TOKEN", "tok")];
        for question in [
            "protocol=https\nhost=git.io\n",
            "protocol=http\nhost=git.io:8443\n",
            "protocol=https\nhost=evil.io\n",
            "protocol=https\nhost=git.io:8443.evil.io\n",
            "host=git.io:8443\n",
            "",
        ] {
            assert_eq!(ask(&token, GET, question), "", "{question}");
        }
        assert!(ask(&token, GET, "protocol=https\nhost=GIT.io:8443\npath=x\n").contains("tok"));
        for other in ["store", "erase", "what"] {
            assert_eq!(ask(&token, &GET.replace("get", other), QUESTION), "");
        }
    }

    #[test]
    fn without_a_credential_nobody_else_is_asked() {
        for files in [
            &[][..],
            &[("username", "bob")],
            &[("GITHUB_TOKEN", "tok\nhost=evil.io")],
        ] {
            assert_eq!(ask(files, GET, QUESTION), "quit=1\n");
        }
    }

    #[test]
    fn wrong_lines() {
        for line in [
            "get",
            "--host",
            "--what x get",
            "--protocol https --host x get",
        ] {
            let words = line.split(' ').map(OsString::from);
            assert!(Options::parse(words).is_err(), "{line}");
        }
    }
}
