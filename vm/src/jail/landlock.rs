//! Landlock: rights that the zygote takes from itself and its children for good. It needs no other privilege than
//! no_new_privs.

use landlock::{
    Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetError, RulesetStatus, Scope, ABI,
};

/// The newest interface whose rights are taken. An older kernel takes those that it knows.
const NEWEST: ABI = ABI::V9;

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// The operator does without.
    Off,
    /// The version of the kernel's interface as far as it is used.
    InForce(u32),
    Missing(&'static str),
}

/// Takes all rights on files, on TCP, and to signals and abstract sockets of others. Nothing may be opened by a path
/// afterwards. Fails when the kernel has Landlock and does not do what it should.
pub fn restrict() -> Result<Landlock, String> {
    let status = apply().map_err(|error| format!("cannot restrict itself by Landlock: {error}"))?;
    match (status.landlock, status.ruleset) {
        (LandlockStatus::NotEnabled, _) => Ok(Landlock::Missing("the kernel has it turned off")),
        (LandlockStatus::NotImplemented, _) => Ok(Landlock::Missing("the kernel lacks it")),
        (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => {
            Err("cannot restrict itself by Landlock: nothing is enforced".into())
        }
        (LandlockStatus::Available { effective_abi, .. }, _) => {
            Ok(Landlock::InForce(effective_abi as u32))
        }
    }
}

fn apply() -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .restrict_self()
}

/// What this version of the interface covers.
pub fn coverage(abi: u32) -> String {
    let mut covered = String::from("no file can be opened");
    if abi >= ABI::V4 as u32 {
        covered.push_str(", no TCP port bound or connected to");
    }
    if abi >= ABI::V6 as u32 {
        covered.push_str(
            ", no process beyond the zygote's signalled, no abstract socket of others reached",
        );
    }
    covered
}
