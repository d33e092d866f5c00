//! Where in a value a conversion is, such as `$.orders[3].id`.

use std::fmt;

enum Step {
    Field(String),
    Index(usize),
}

/// The steps from the outermost value to the present one.
#[derive(Default)]
pub struct Path(Vec<Step>);

impl Path {
    pub fn field(&mut self, name: &str) {
        self.0.push(Step::Field(name.to_owned()));
    }

    pub fn index(&mut self, index: usize) {
        self.0.push(Step::Index(index));
    }

    pub fn leave(&mut self) {
        self.0.pop();
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("$")?;
        for step in &self.0 {
            match step {
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Field(name) if is_identifier(name) => write!(formatter, ".{name}")?,
                Step::Field(name) => {
                    let shown: String = name.chars().take(64).collect();
                    write!(formatter, "[{shown:?}]")?;
                }
            }
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}
