//! What a TOML text says: tables in tables. What may be added to which, and what would be given twice (TOML 1.0,
//! "Table", "Array of Tables").

/// A value and where it begins.
#[derive(Debug)]
pub(in crate::config) struct Node {
    pub(in crate::config) at: usize,
    pub(in crate::config) value: Value,
}

/// What a value is.
#[derive(Debug)]
pub(in crate::config) enum Value {
    Text(String),
    /// `None`: negative, or too large for any key.
    Whole(Option<u64>),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// A number with a fraction, or a date.
    Other,
}

/// Keys and values, in the order of the file.
#[derive(Debug)]
pub(in crate::config) struct Table {
    pub(in crate::config) entries: Vec<Entry>,
    made: Made,
}

/// How a table came to be, which decides what may still be added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// `[table]`
    ByHeader,
    /// `[[table]]`
    InList,
    /// `table.key = 1`
    ByDots,
    /// `[table.other]`: a header of its own may follow.
    OnTheWay,
    /// `{ key = 1 }`
    Inline,
}

/// A key, where it stands, and its value.
#[derive(Debug)]
pub(in crate::config) struct Entry {
    pub(in crate::config) name: String,
    pub(in crate::config) at: usize,
    pub(in crate::config) node: Node,
}

/// A part of a key and where it stands.
pub(super) type Part = (String, usize);

/// Where a line stops being TOML, and why.
pub(super) type Problem = (usize, &'static str);

const TWICE: &str = "this key is given twice";

impl Table {
    pub(super) fn of_file() -> Table {
        Table { entries: Vec::new(), made: Made::ByHeader }
    }

    pub(super) fn inline() -> Table {
        Table { entries: Vec::new(), made: Made::Inline }
    }

    pub(in crate::config) fn get(&self, name: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.node)
    }

    /// The table of that name to go on into; a new one if there is none.
    fn step(&mut self, (name, at): &Part, made: Made) -> Result<&mut Table, Problem> {
        let known = self.entries.iter().position(|entry| entry.name == *name);
        let place = known.unwrap_or(self.entries.len());
        if known.is_none() {
            let value = Value::Table(Table { entries: Vec::new(), made });
            self.entries.push(Entry { name: name.clone(), at: *at, node: Node { at: *at, value } });
        }
        let table = match &mut self.entries[place].node.value {
            Value::Table(table) => table,
            Value::List(list) => match list.last_mut() {
                Some(Node { value: Value::Table(table), .. }) if table.made == Made::InList => table,
                _ => return Err((*at, TWICE)),
            },
            _ => return Err((*at, TWICE)),
        };
        // An inline table is complete, and dots add to what dots have made.
        let open = table.made != Made::Inline && (made != Made::ByDots || table.made == Made::ByDots);
        if open { Ok(table) } else { Err((*at, TWICE)) }
    }

    /// Makes the table of a header.
    pub(super) fn open(&mut self, path: &[Part], at: usize, in_list: bool) -> Result<(), Problem> {
        let Some(((name, place), way)) = path.split_last() else { return Ok(()) };
        let mut parent = self;
        for part in way {
            parent = parent.step(part, Made::OnTheWay)?;
        }
        let made = if in_list { Made::InList } else { Made::ByHeader };
        let node = Node { at, value: Value::Table(Table { entries: Vec::new(), made }) };
        let entry = parent.entries.iter_mut().find(|entry| entry.name == *name);
        match entry.map(|entry| &mut entry.node.value) {
            None => {
                let node = if in_list { Node { at, value: Value::List(vec![node]) } } else { node };
                parent.entries.push(Entry { name: name.clone(), at: *place, node });
            }
            Some(Value::Table(table)) if table.made == Made::OnTheWay && !in_list => table.made = Made::ByHeader,
            Some(Value::List(list)) if in_list && list.last().is_some_and(is_in_list) => list.push(node),
            Some(_) => return Err((*place, "this table is given twice")),
        }
        Ok(())
    }

    /// The table that the last header made.
    pub(super) fn under_header(&mut self, header: &[Part]) -> Result<&mut Table, Problem> {
        let mut table = self;
        for part in header {
            table = table.step(part, Made::OnTheWay)?;
        }
        Ok(table)
    }

    pub(super) fn insert(&mut self, mut path: Vec<Part>, node: Node) -> Result<(), Problem> {
        let Some((name, at)) = path.pop() else { return Ok(()) };
        let mut table = self;
        for part in &path {
            table = table.step(part, Made::ByDots)?;
        }
        if table.get(&name).is_some() {
            return Err((at, TWICE));
        }
        table.entries.push(Entry { name, at, node });
        Ok(())
    }
}

fn is_in_list(node: &Node) -> bool {
    matches!(&node.value, Value::Table(table) if table.made == Made::InList)
}
