//! Tables of system calls, and the filters that the kernel takes for them. What is in no table ends the process with
//! SIGSYS.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// What an argument of a system call has to be. The index counts from 0.
pub enum Arg {
    /// The lower 32 bits, which is all that the kernel reads of an `int`.
    Int(u8, u32),
    /// Of all 64 bits, only those of the mask may be set.
    Within(u8, u64),
    /// Of the lower 32 bits, those outside the mask have to be this value.
    IntExcept(u8, u32, u32),
}

use Arg::{Int, IntExcept, Within};

/// One way in which a system call may be made: all of these hold.
pub type Rule = &'static [Arg];

/// A call, and the ways in which it may be made; none is any.
pub type Table = &'static [(c_long, &'static [Rule])];

pub const ANY: &[Rule] = &[];
/// Of memory that is never executable.
pub const READ_WRITE: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;

/// Compiles a table.
pub fn compile(table: Table) -> Result<BpfProgram, String> {
    let failed = |error: BackendError| format!("cannot compile the system call filter: {error}");
    let mut rules = BTreeMap::new();
    for (call, alternatives) in table {
        let chain = alternatives
            .iter()
            .map(|rule| compile_rule(rule))
            .collect::<Result<Vec<_>, _>>();
        if rules.insert(*call, chain.map_err(failed)?).is_some() {
            return Err(format!(
                "cannot compile the system call filter: call {call} is in the table twice"
            ));
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        ARCH,
    );
    filter.and_then(BpfProgram::try_from).map_err(failed)
}

fn compile_rule(rule: Rule) -> Result<SeccompRule, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let conditions = rule.iter().map(|arg| match *arg {
        Int(index, value) => SeccompCondition::new(index, Dword, SeccompCmpOp::Eq, value.into()),
        Within(index, mask) => {
            SeccompCondition::new(index, Qword, SeccompCmpOp::MaskedEq(!mask), 0)
        }
        IntExcept(index, mask, value) => SeccompCondition::new(
            index,
            Dword,
            SeccompCmpOp::MaskedEq((!mask).into()),
            value.into(),
        ),
    });
    SeccompRule::new(conditions.collect::<Result<Vec<_>, _>>()?)
}
