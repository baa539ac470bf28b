//! A record's own ZooKeeper words: what its ordinary fields cannot rebuild, as short text.
//!
//! `<layout><;item>*`: one letter for the layout, then items of one letter and a value. A value's own `!` and `;`, blanks
//! and whatever is not plain text stand as `!XX`, byte by byte. The text of a canonical Dubbo provider is empty.

use super::Layout;
use super::escape::unescape;

/// The item that names the root, where it is not the first of its layout.
pub(super) const ROOT: char = 'r';
/// The item that names the znode.
pub(super) const NAME: char = 'n';
/// The same for a UUID: its 16 bytes in base64.
pub(super) const UUID: char = 'U';
/// The item for an id in the data that is not the znode's name.
pub(super) const ID: char = 'i';
/// The item for the time of registration, less the canonical one, to the base 36.
pub(super) const TIME: char = 't';
/// The item for the order of parameters or metadata.
pub(super) const ORDER: char = 'o';
/// The item for the data, where they are not the canonical ones.
pub(super) const DATA: char = 'd';
/// The item for the whole of what a layout builds; the last resort.
pub(super) const WHOLE: char = '=';

/// The item that tells a znode without data from one with empty data.
pub(super) const NULL: char = 'N';
/// The item for who may use the znode; none where anybody may.
pub(super) const ACCESS: char = 'A';

/// What holds also when a record was edited on its way.
const BARE: [char; 6] = [ROOT, NAME, UUID, ID, TIME, ACCESS];
const ESCAPE: char = '!';
const END: char = ';';

/// The words of one record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Words {
    pub(super) layout: Layout,
    items: Vec<(char, Vec<u8>)>,
}

impl Words {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, items: Vec::new() }
    }

    pub(super) fn push(&mut self, item: char, value: impl AsRef<[u8]>) {
        self.items.push((item, value.as_ref().to_vec()));
    }

    /// The first value of an item.
    pub(super) fn bytes(&self, item: char) -> Option<&[u8]> {
        self.items.iter().find(|one| one.0 == item).map(|one| one.1.as_slice())
    }

    /// The first value of an item that is text.
    pub(super) fn get(&self, item: char) -> Option<&str> {
        self.all(item).next()
    }

    /// All values of an item that are text.
    pub(super) fn all(&self, item: char) -> impl Iterator<Item = &str> {
        self.items.iter().filter(move |one| one.0 == item).filter_map(|one| str::from_utf8(&one.1).ok())
    }

    /// Only what says where the record stands.
    pub(super) fn bare(&self) -> Self {
        let items = self.items.iter().filter(|one| BARE.contains(&one.0)).cloned().collect();
        Self { layout: self.layout, items }
    }

    pub(super) fn encode(&self) -> String {
        if self.layout == Layout::Dubbo && self.items.is_empty() {
            return String::new();
        }
        let mut text = String::from(self.layout.code());
        for (item, value) in &self.items {
            text.extend([END, *item]);
            escape(value, &mut text);
        }
        text
    }

    /// Reads what [`Words::encode`] wrote; `None` for anything else.
    pub(super) fn decode(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::new(Layout::Dubbo));
        }
        let mut items = text.split(END);
        let mut first = items.next()?.chars();
        let code = first.next().filter(|_| first.next().is_none())?;
        let layout = Layout::ALL.into_iter().find(|layout| layout.code() == code)?;
        let item = |text: &str| {
            let letter = text.chars().next()?;
            Some((letter, unescape(&text.as_bytes()[letter.len_utf8()..], ESCAPE as u8)?))
        };
        Some(Self { layout, items: items.map(item).collect::<Option<_>>()? })
    }
}

fn escape(value: &[u8], text: &mut String) {
    let plain =
        |c: char| if c.is_ascii() { c.is_ascii_graphic() && c != ESCAPE && c != END } else { c.is_alphanumeric() };
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            if plain(c) {
                text.push(c);
            } else {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| text.push_str(&format!("{ESCAPE}{byte:02X}")));
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("{ESCAPE}{byte:02X}")));
    }
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A whole number to the base 36.
pub(super) fn base36(number: i64) -> String {
    let mut rest = number.unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        digits.push(DIGITS[usize::try_from(rest % 36).unwrap_or_default()]);
        rest /= 36;
    }
    if number < 0 {
        digits.push(b'-');
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}

/// How a list of `length` writes one index: one digit to the base 36, or two; `None` for a list that is too long.
fn width(length: usize) -> Option<usize> {
    match length {
        0..=36 => Some(1),
        37..=1296 => Some(2),
        _ => None,
    }
}

/// What [`reorder`] needs to make `wanted` of `list`; empty when they are equal, `None` when it cannot be said.
pub(super) fn order<T: PartialEq>(list: &[T], wanted: &[T]) -> Option<String> {
    let width = width(list.len()).filter(|_| list.len() == wanted.len())?;
    let mut free = vec![true; list.len()];
    let mut indexes = Vec::with_capacity(list.len());
    for item in wanted {
        let index = (0..list.len()).find(|&at| free[at] && list[at] == *item)?;
        free[index] = false;
        indexes.push(index);
    }
    while indexes.last().is_some_and(|&last| last + 1 == indexes.len()) {
        indexes.pop();
    }
    let digits = |index: usize| [DIGITS[index / 36 % 36], DIGITS[index % 36]];
    Some(indexes.into_iter().flat_map(|index| digits(index).into_iter().skip(2 - width)).map(char::from).collect())
}

/// Puts the first items of a list into the order that [`order`] wrote; leaves a list alone that it does not fit.
pub(super) fn reorder<T: Clone>(list: Vec<T>, order: &str) -> Vec<T> {
    let Some(width) = width(list.len()).filter(|width| order.is_ascii() && order.len().is_multiple_of(*width)) else {
        return list;
    };
    let index = |digits: &[u8]| str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 36).ok());
    let Some(indexes) = order.as_bytes().chunks(width).map(index).collect::<Option<Vec<_>>>() else { return list };
    let mut sorted = indexes.clone();
    sorted.sort_unstable();
    if sorted.len() > list.len() || sorted.into_iter().enumerate().any(|(at, index)| at != index) {
        return list;
    }
    let head = indexes.iter().map(|&index| list[index].clone());
    head.chain(list[indexes.len()..].iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        let mut words = Words::new(Layout::Spring);
        words.push(DATA, [0xff, b';', b'!', b' ', 0, 0xe6]);
        words.push('k', "port=80");
        words.push('k', "城市 😀");
        let text = words.encode();
        assert_eq!(text, "s;d!FF!3B!21!20!00!E6;kport=80;k城市!20!F0!9F!98!80");
        assert_eq!(Words::decode(&text), Some(words));
        assert_eq!(Words::new(Layout::Dubbo).encode(), "");
        for wrong in ["z", "ss", ";", "s;", "s;d!", "s;d!F", "s;d!G0"] {
            assert_eq!(Words::decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_to_the_base_36() {
        for (number, text) in [(0, "0"), (-1, "-1"), (1028, "sk"), (i64::MIN, "-1y2p0ij32e8e8")] {
            assert_eq!(base36(number), text);
            assert_eq!(i64::from_str_radix(text, 36), Ok(number));
        }
    }

    #[test]
    fn an_order_is_as_short_as_it_can_be() {
        let list = ["a", "b", "c", "d"];
        for (wanted, text) in [(list, ""), (["b", "a", "c", "d"], "10"), (["d", "a", "b", "c"], "3012")] {
            assert_eq!(order(&list, &wanted).as_deref(), Some(text));
            assert_eq!(reorder(list.to_vec(), text), wanted);
        }
        let long: Vec<usize> = (0..50).collect();
        let wanted: Vec<usize> = (0..50).rev().collect();
        assert_eq!(reorder(long.clone(), &order(&long, &wanted).unwrap()), wanted);
        for wrong in ["1", "00", "31", "z", "é", "01234"] {
            assert_eq!(reorder(list.to_vec(), wrong), list, "{wrong}");
        }
    }
}
