//! What a README tells its readers to type, and whether what is printed is what it says.

/// Of one README, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Block {
    /// Commands that keep running, each in a terminal of its own.
    Terminals(Vec<String>),
    /// Commands, each with the lines that it prints.
    Transcript(Vec<(String, Vec<String>)>),
}

/// The blocks of a README that can be typed.
pub(crate) fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let inside = lines.by_ref();
        match line {
            "```sh" => {
                let commands = inside.take_while(|line| *line != "```");
                let commands = commands.map(|line| line.split(" #").next().unwrap_or(line).trim());
                blocks.push(Block::Terminals(commands.map(str::to_owned).collect()));
            }
            "```console" => {
                let mut transcript: Vec<(String, Vec<String>)> = Vec::new();
                for line in inside.take_while(|line| *line != "```") {
                    match (line.strip_prefix("$ "), transcript.last_mut()) {
                        (Some(command), _) => transcript.push((command.to_owned(), Vec::new())),
                        (None, Some((_, printed))) => printed.push(line.to_owned()),
                        (None, None) => panic!("{line}: a console block begins with a command"),
                    }
                }
                blocks.push(Block::Transcript(transcript));
            }
            _ => {}
        }
    }
    blocks
}

/// Whether lines are as told, where a line `…` stands for any number of lines, and `…` in a line for anything.
pub(crate) fn fits(told: &[String], printed: &[&str]) -> bool {
    match (told.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => {
            (0..=printed.len()).any(|from| fits(rest, &printed[from..]))
        }
        (Some((first, rest)), Some((line, others))) => line_fits(first, line) && fits(rest, others),
        _ => false,
    }
}

fn line_fits(told: &str, line: &str) -> bool {
    let Some((begin, rest)) = told.split_once('…') else {
        return told == line;
    };
    line.strip_prefix(begin).is_some_and(|line| {
        (0..=line.len()).any(|at| line.get(at..).is_some_and(|l| line_fits(rest, l)))
    })
}

/// `NAME=value …` in front of a command, and the command.
pub(crate) fn variables(mut command: &str) -> (Vec<(&str, &str)>, &str) {
    let mut variables = Vec::new();
    while let Some((word, rest)) = command.split_once(' ') {
        match word.split_once('=') {
            Some(variable) => variables.push(variable),
            None => break,
        }
        command = rest;
    }
    (variables, command)
}

#[test]
fn a_readme_is_read_as_it_is_written() {
    let readme = "# A\n```sh\nadit http 3000 # here\n```\ntext\n```console\n$ curl a\n1\n…\n3…5\n$ curl b\n```\n";
    let lines = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    let read = blocks(readme);
    let transcript = vec![
        ("curl a".to_owned(), lines(&["1", "…", "3…5"])),
        ("curl b".to_owned(), Vec::new()),
    ];
    let expected = [
        Block::Terminals(lines(&["adit http 3000"])),
        Block::Transcript(transcript),
    ];
    assert_eq!(read, expected);
    let told = lines(&["1", "…", "3…5"]);
    assert!(fits(&told, &["1", "2", "2", "345"]) && fits(&told, &["1", "35"]));
    for printed in [
        &["1", "2"][..],
        &["1", "346"],
        &["1", "35", "6"],
        &["35"],
        &[],
    ] {
        assert!(!fits(&told, printed), "{printed:?}");
    }
}
