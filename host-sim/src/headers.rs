//! Header maps.
//!
//! Copies share their pairs until one of them is written, so that the constant
//! headers of a scenario cost a reference count per request and not an allocation
//! per header. As in Envoy, the pseudo headers are pairs like the others.

use std::rc::Rc;

type Pair = (Box<[u8]>, Box<[u8]>);

/// An ordered map of headers or trailers; a name may occur more than once.
///
/// Names are in lower case: who builds a map sees to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMap(Rc<Vec<Pair>>);

impl HeaderMap {
    /// The pairs in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value of `name`.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find_map(|(other, value)| (other == name).then_some(value))
    }

    /// All values of `name`, in their order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter_map(move |(other, value)| (other == name).then_some(value))
    }

    /// The first value of `name`, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name.as_bytes())
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Adds a pair at the end.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        Rc::make_mut(&mut self.0).push((name.into(), value.into()));
    }

    /// Gives `name` this one value: the first pair of that name changes in its place,
    /// further ones go. Without one, the pair comes to the end.
    pub fn replace(&mut self, name: &[u8], value: &[u8]) {
        let pairs = Rc::make_mut(&mut self.0);
        let Some(first) = pairs.iter().position(|(other, _)| &**other == name) else {
            pairs.push((name.into(), value.into()));
            return;
        };
        let mut place = 0;
        pairs.retain_mut(|(other, old)| {
            let here = place;
            place += 1;
            if here == first {
                *old = value.into();
            }
            here == first || &**other != name
        });
    }

    /// Removes all pairs of `name`; says whether there were any.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        if self.value(name).is_none() {
            return false;
        }
        Rc::make_mut(&mut self.0).retain(|(other, _)| &**other != name);
        true
    }

    /// The sum of the lengths of all names and values, in bytes.
    pub fn byte_size(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> HeaderMap {
        let boxed = |(name, value): (N, V)| (name.as_ref().into(), value.as_ref().into());
        HeaderMap(Rc::new(pairs.into_iter().map(boxed).collect()))
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>, const LEN: usize> From<[(N, V); LEN]> for HeaderMap {
    fn from(pairs: [(N, V); LEN]) -> HeaderMap {
        pairs.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_its_pairs_when_the_other_is_written() {
        let mut written = HeaderMap::from([("a", "1")]);
        let copy = written.clone();
        written.add(b"b", b"2");
        assert_eq!((copy.len(), written.len()), (1, 2));
    }

    #[test]
    fn replacing_keeps_the_first_place_and_drops_the_rest() {
        let mut map = HeaderMap::from([("a", "1"), ("b", "2"), ("a", "3")]);
        map.replace(b"a", b"4");
        assert_eq!(map, HeaderMap::from([("a", "4"), ("b", "2")]));
        map.replace(b"c", b"5");
        assert_eq!(map.text("c"), Some("5"));
    }

    #[test]
    fn removing_tells_whether_there_was_something() {
        let mut map = HeaderMap::from([("a", "1"), ("b", "2"), ("a", "3")]);
        assert!(map.remove(b"a"));
        assert!(!map.remove(b"a"));
        assert_eq!(map.byte_size(), 2);
    }
}
