//! Ids of names, and texts that are too long for one packet.

use sha2::{Digest, Sha256};
use sqlx::{MySqlConnection, QueryBuilder};

/// Servers may take no more than 4 MiB in one packet, some only 2.
pub(super) const PIECE: usize = 512 * 1024;
/// A statement with several rows is at most so long, and a piece.
pub(super) const STATEMENT: usize = 768 * 1024;
/// Rows of one statement: few round trips.
pub(super) const ROWS: usize = 250;

/// What rows are found by. `kind` keeps rows of different tables apart.
pub(super) fn id(kind: &str, names: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for word in std::iter::once(&kind).chain(names) {
        hash.update((word.len() as u64).to_be_bytes());
        hash.update(word);
    }
    hash.finalize().to_vec()
}

/// The first piece of a text, and the rest.
pub(super) fn first(text: &str) -> (&str, &str) {
    text.split_at(text.floor_char_boundary(PIECE))
}

/// How many pieces the rest is.
pub(super) fn count(rest: &str) -> i32 {
    i32::try_from(pieces(rest).count()).unwrap_or(i32::MAX)
}

fn pieces(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, more) = first(rest);
        rest = more;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Parts of a batch that fit one statement each; `size` says how much of it a row takes.
pub(super) fn batches<T>(rows: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, row) in rows.iter().enumerate() {
        let own = size(row);
        if at > from && (bytes + own > STATEMENT || at - from == ROWS) {
            parts.push(&rows[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += own;
    }
    if from < rows.len() {
        parts.push(&rows[from..]);
    }
    parts
}

/// Whether any text is in pieces.
pub(super) async fn any(db: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
    let found: Option<(i32,)> = sqlx::query_as("SELECT part FROM causeway_pieces LIMIT 1").fetch_optional(db).await?;
    Ok(found.is_some())
}

/// Forgets the pieces of these.
pub(super) async fn forget(db: &mut MySqlConnection, ids: &[Vec<u8>]) -> Result<(), sqlx::Error> {
    for ids in ids.chunks(ROWS) {
        delete(db, "causeway_pieces", ids).await?;
    }
    Ok(())
}

/// Deletes the rows with these ids.
pub(super) async fn delete(db: &mut MySqlConnection, table: &'static str, ids: &[Vec<u8>]) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::new(format!("DELETE FROM {table} WHERE id IN ("));
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(id.as_slice());
    }
    query.push(")");
    query.build().persistent(ids.len() == ROWS).execute(db).await?;
    Ok(())
}

/// Writes the rest of a text, whose former pieces are forgotten already.
pub(super) async fn write(db: &mut MySqlConnection, id: &[u8], rest: &str) -> Result<(), sqlx::Error> {
    for (part, piece) in (1_i32..).zip(pieces(rest)) {
        sqlx::query("INSERT INTO causeway_pieces (id, part, piece) VALUES (?, ?, ?)")
            .bind(id)
            .bind(part)
            .bind(piece)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// A text, from its first piece and the others in any order.
pub(super) fn join(first: String, mut others: Vec<(i32, String)>) -> String {
    others.sort_unstable();
    others.into_iter().fold(first, |text, (_, piece)| text + &piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters() {
        let text = "ü".repeat(PIECE) + "x";
        let (head, rest) = first(&text);
        let all: Vec<&str> = pieces(rest).collect();
        assert!(head.len() <= PIECE && all.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(count(rest), all.len() as i32);
        let mut numbered: Vec<(i32, String)> = (1..).zip(all.iter().map(|piece| (*piece).to_owned())).collect();
        numbered.reverse();
        assert_eq!(join(head.to_owned(), numbered), text);
        assert_eq!((first("short"), count("")), (("short", ""), 0));
    }

    #[test]
    fn batches_are_limited_in_rows_and_bytes() {
        let sizes = |rows: &[usize]| batches(rows, |size| *size).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&[1; 600]), [250, 250, 100]);
        assert_eq!(sizes(&[STATEMENT, 1, 1, STATEMENT + 5, 2]), [1, 2, 1, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }

    #[test]
    fn ids_tell_apart_what_looks_alike() {
        let ids =
            [id("a", &["b", "c"]), id("a", &["bc"]), id("ab", &["c"]), id("a", &["b", "c "]), id("a", &["B", "c"])];
        assert!(ids.iter().enumerate().all(|(n, one)| !ids[..n].contains(one)));
    }
}
