//! Which programs stand for images in local mode.
//!
//! An image is a set of files: our own has the `axon` program, an agent's has its entrypoint.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::api::task::AgentType;
use crate::cli::ui::Failure;
use crate::controller::Images;
use crate::local::images::Image;

/// Where our own image has the program.
const AXON: &str = "/usr/local/bin/axon";
/// Where it has the helper: a program of its own, or the same one, which goes by its name.
const HELPER: &str = "/usr/local/bin/axon-helper";
/// Where every agent image has its entrypoint.
const ENTRYPOINT: &str = "/axon_entrypoint.sh";
/// What an image that is a program of the user's begins with.
const LOCAL: &str = "local:";

/// A command line program that plays the image of an agent type.
struct Cli {
    agent: AgentType,
    program: &'static str,
    /// How to get it.
    install: &'static str,
    entrypoint: &'static str,
}

const CLIS: [Cli; 4] = [
    Cli {
        agent: AgentType::ClaudeCode,
        program: "claude",
        install: "npm install -g @anthropic-ai/claude-code",
        entrypoint: include_str!("../../../../deploy/images/claude-code/axon_entrypoint.sh"),
    },
    Cli {
        agent: AgentType::Codex,
        program: "codex",
        install: "npm install -g @openai/codex",
        entrypoint: include_str!("../../../../deploy/images/codex/axon_entrypoint.sh"),
    },
    Cli {
        agent: AgentType::Gemini,
        program: "gemini",
        install: "npm install -g @google/gemini-cli",
        entrypoint: include_str!("../../../../deploy/images/gemini/axon_entrypoint.sh"),
    },
    Cli {
        agent: AgentType::OpenCode,
        program: "opencode",
        install: "npm install -g opencode-ai",
        entrypoint: include_str!("../../../../deploy/images/opencode/axon_entrypoint.sh"),
    },
];

/// The table of images: what each stands for on this machine.
pub(super) struct Table {
    /// The program that is running.
    axon: PathBuf,
    /// Images of the controller.
    pub(super) images: Images,
    /// Where relative `local:` paths begin: the folder of `axon.yaml`. None for a git URL: a program
    /// that a remote repository names is not run by its path.
    base: Option<PathBuf>,
    /// Where [`write_scripts`] has put the entrypoints.
    scripts: PathBuf,
    /// Folders of `PATH`.
    path: Vec<PathBuf>,
}

impl Table {
    /// The table of this machine. Writes the entrypoints below `state`.
    pub(super) fn new(
        state: &Path,
        base: Option<&Path>,
        path: Vec<PathBuf>,
    ) -> Result<Self, Failure> {
        let axon = std::env::current_exe()
            .map_err(|error| Failure::new("cannot find the program that is running", &error))?;
        let scripts = state.join("agents");
        write_scripts(&scripts).map_err(|error| {
            Failure::new(
                format!("cannot write below \"{}\"", state.display()),
                &error,
            )
            .hint("check its permissions and the space on its disk")
        })?;
        Ok(Self {
            axon,
            images: Images::default(),
            base: base.map(Path::to_path_buf),
            scripts,
            path,
        })
    }

    /// What `image` stands for, or why it cannot be run and what to do.
    pub(super) fn resolve(&self, image: &str) -> Result<Image, String> {
        if image == self.images.helper {
            let beside = self.axon.with_file_name(axon_helper::NAME);
            let helper = if beside.is_file() {
                beside
            } else {
                self.axon.clone()
            };
            return Ok(Image {
                files: BTreeMap::from([
                    (AXON.to_owned(), self.axon.clone()),
                    (HELPER.to_owned(), helper),
                ]),
            });
        }
        if let Some(program) = image.strip_prefix(LOCAL) {
            return Ok(one_file(ENTRYPOINT, self.local(program)?));
        }
        let cli = CLIS
            .iter()
            .find(|cli| self.images.of(cli.agent).as_deref() == Some(image));
        let Some(cli) = cli else {
            return Err(format!(
                "image \"{image}\" cannot run in local mode: name a program with \"local:<path>\" \
                 or \"local:<command>\""
            ));
        };
        self.on_path(cli.program).ok_or_else(|| {
            format!(
                "no program \"{}\" on PATH; install it: {}",
                cli.program, cli.install
            )
        })?;
        Ok(one_file(ENTRYPOINT, self.scripts.join(cli.program)))
    }

    fn local(&self, program: &str) -> Result<PathBuf, String> {
        if !program.contains('/') {
            return self.on_path(program).ok_or_else(|| {
                let beside = self.base.as_ref().map(|it| it.join(program));
                let hint = match beside.filter(|it| it.is_file()) {
                    Some(_) => {
                        format!("; for the file beside axon.yaml write \"local:./{program}\"")
                    }
                    None => String::new(),
                };
                format!("no program \"{program}\" on PATH{hint}")
            });
        }
        let Some(base) = &self.base else {
            return Err(format!(
                "\"local:{program}\" names a path, which only an axon.yaml in a directory of yours may do"
            ));
        };
        let path = base.join(program);
        match fs::metadata(&path) {
            Ok(found) if is_program(&found) => Ok(path),
            Ok(_) => Err(format!("\"{}\" is not an executable file", path.display())),
            Err(error) => Err(format!("no program \"{}\": {error}", path.display())),
        }
    }

    fn on_path(&self, program: &str) -> Option<PathBuf> {
        self.path
            .iter()
            .map(|folder| folder.join(program))
            .find(|file| fs::metadata(file).is_ok_and(|found| is_program(&found)))
    }
}

/// Writes the entrypoints into `folder`.
fn write_scripts(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for cli in &CLIS {
        let file = folder.join(cli.program);
        fs::write(&file, cli.entrypoint)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn is_program(found: &fs::Metadata) -> bool {
    found.is_file() && found.permissions().mode() & 0o111 != 0
}

fn one_file(at: &str, file: impl AsRef<Path>) -> Image {
    Image {
        files: BTreeMap::from([(at.to_owned(), file.as_ref().to_path_buf())]),
    }
}
