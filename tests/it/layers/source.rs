//! Parses one file into tokens: the paths that it uses, the modules that it declares, the names
//! that it re-exports, and the lengths of its functions.
//!
//! Tokens rather than lines, since comments and strings may contain paths and a `use` may span
//! many lines. Items under `#[cfg(test)]` are skipped, since tests may import anything.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A parsed file.
#[derive(Default)]
pub(super) struct Source {
    /// Paths that begin with `crate`, `self`, `super` or the name of a crate of this workspace.
    pub paths: Vec<Vec<String>>,
    /// Paths under `pub use`.
    pub exports: Vec<Vec<String>>,
    /// Modules in files of their own, and whether only tests have them.
    pub modules: Vec<(String, bool)>,
    /// Functions by name, with their lengths in lines, tests included. The rows of a table are
    /// data and do not count.
    pub functions: Vec<(String, usize)>,
    /// The lines of tables: of everything between square brackets. They are numbered from 1.
    pub table_lines: BTreeSet<usize>,
    /// Lines with a string literal, which no formatter can break.
    pub text_lines: BTreeSet<usize>,
}

impl Source {
    /// Reads the text of a file.
    ///
    /// # Panics
    ///
    /// Panics if the text is not Rust.
    pub(super) fn read(text: &str) -> Source {
        let tokens: TokenStream = text.parse().expect("a file that compiles");
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut source = Source::default();
        source.measure(&tokens);
        table_lines(&tokens, &mut source.table_lines);
        text_lines(&tokens, &mut source.text_lines);
        source.look(&tokens);
        source
    }

    fn measure(&mut self, tokens: &[TokenTree]) {
        for (at, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                self.measure(&group.stream().into_iter().collect::<Vec<_>>());
            }
            let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else {
                continue;
            };
            if !is_word(token, "fn") {
                continue;
            }
            let ends = |token: &&TokenTree| match token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(punct) => punct.as_char() == ';',
                _ => false,
            };
            if let Some(TokenTree::Group(body)) = tokens[at..].iter().find(ends) {
                let all = body.span_close().end().line - name.span().start().line + 1;
                let rows: Vec<TokenTree> = body.stream().into_iter().collect();
                let mut tables = BTreeSet::new();
                table_lines(&rows, &mut tables);
                let lines = all - tables.len();
                self.functions.push((name.to_string(), lines));
            }
        }
    }

    fn look(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        let mut tests = false;
        while at < tokens.len() {
            let (before, here) = (at, &tokens[at..]);
            if let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = here
                && hash.as_char() == '#'
            {
                tests |= attribute.to_string().replace(' ', "") == "[cfg(test)]";
                at += 2;
                continue;
            }
            if is_word(&here[0], "pub") {
                // `pub` and its scope do not end what an attribute is about.
                at += 1;
                let scope = |token: &TokenTree| match token {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
                    _ => false,
                };
                at += usize::from(tokens.get(at).is_some_and(scope));
                if tokens.get(at).is_some_and(|token| is_word(token, "use")) && !tests {
                    let end = at + item(&tokens[at..]);
                    expand(&tokens[at + 1..end], &[], &mut self.exports);
                    at = end;
                }
                continue;
            }
            if let [keyword, TokenTree::Ident(name), TokenTree::Punct(end), ..] = here
                && is_word(keyword, "mod")
                && end.as_char() == ';'
            {
                self.modules.push((name.to_string(), tests));
                at += 3;
                tests = false;
                continue;
            }
            if tests {
                at += item(here);
                tests = false;
                continue;
            }
            if is_word(&here[0], "use") {
                at += item(here);
                expand(&tokens[before + 1..at], &[], &mut self.paths);
                continue;
            }
            if let TokenTree::Group(group) = &here[0] {
                self.look(&group.stream().into_iter().collect::<Vec<_>>());
            }
            let begins = at == 0 || !is_colon(&tokens[at - 1]);
            if begins && matches!(&here[0], TokenTree::Ident(_)) {
                let path = straight(here);
                if path.len() > 1 {
                    self.paths.push(path);
                }
            }
            at += 1;
        }
    }
}

/// Adds the lines between square brackets, without the lines of the brackets.
fn table_lines(tokens: &[TokenTree], into: &mut BTreeSet<usize>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                let (open, close) = (group.span_open(), group.span_close());
                into.extend(open.end().line + 1..close.start().line);
            }
            TokenTree::Group(group) => {
                table_lines(&group.stream().into_iter().collect::<Vec<_>>(), into);
            }
            _ => {}
        }
    }
}

/// Adds the lines of string literals, except doc comments, which are attributes with a literal.
fn text_lines(tokens: &[TokenTree], into: &mut BTreeSet<usize>) {
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        match token {
            TokenTree::Literal(text) if text.to_string().contains('"') => {
                into.extend(text.span().start().line..=text.span().end().line);
            }
            TokenTree::Group(group) if !before.is_some_and(is_hash) => {
                text_lines(&group.stream().into_iter().collect::<Vec<_>>(), into);
            }
            _ => {}
        }
    }
}

fn is_hash(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#')
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_colon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':')
}

/// Number of tokens up to the end of the item that starts here.
fn item(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    // A `use` has braces before its semicolon.
    let is_use = is_word(&tokens[0], "use");
    let semicolon = |token: &TokenTree| ends(token) && !matches!(token, TokenTree::Group(_));
    let end = tokens.iter().position(|token| {
        if is_use {
            semicolon(token)
        } else {
            ends(token)
        }
    });
    end.map_or(tokens.len(), |end| end + 1)
}

/// Parses the path `a::b::c` that starts here.
fn straight(tokens: &[TokenTree]) -> Vec<String> {
    let mut path = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(name), after @ ..] = rest {
        path.push(name.to_string());
        match after {
            [first, second, next @ ..] if is_colon(first) && is_colon(second) => rest = next,
            _ => break,
        }
    }
    path
}

/// Returns all paths of a `use` tree.
fn expand(tokens: &[TokenTree], prefix: &[String], into: &mut Vec<Vec<String>>) {
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
    for branch in tokens.split(is_comma) {
        let mut path = prefix.to_vec();
        let mut whole = true;
        for token in branch {
            match token {
                TokenTree::Ident(name) if name == "as" => break,
                TokenTree::Ident(name) => path.push(name.to_string()),
                TokenTree::Punct(star) if star.as_char() == '*' => path.push("*".into()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    expand(&inner, &path, into);
                    whole = false;
                }
                _ => {}
            }
        }
        if whole && path.len() > prefix.len() {
            into.push(path);
        }
    }
}
