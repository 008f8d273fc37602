//! Bodies: reads and writes beyond the end, in the middle, at the end, and while buffered.

use super::{Row, get, post, streaming};

pub(super) const ROWS: &[Row] = &[
    post(
        "body-read-at-the-end",
        "reqb@1 body 0 4 2;reqb@1 body 0 5 1;reqb@1 body 0 6 1;reqb@1 body 0 0 0;\
         reqb@1 body 0 5 0",
    ),
    post(
        "body-read-beyond-all-numbers",
        "reqb@1 body 0 4294967295 1;reqb@1 body 0 1 4294967295;\
         reqb@1 body 0 4294967295 4294967295;reqb@2 body 0 1 4294967295",
    ),
    post(
        "body-lengths",
        "reqh length 0;reqb@1 length 0;reqb@1 length 1;reqb@2 length 0;resh length 1;\
         resb@1 length 1;resb@1 length 0;resb@2 length 1;reqh length 7;reqh length 99",
    ),
    get(
        "body-written-in-the-middle",
        "resh remove 2 content-length;resb@1 setbody 1 1 0 x;resb@1 body 1 0 9;resb@1 length 1",
    ),
    get(
        "body-written-beyond-the-end",
        "resh remove 2 content-length;resb@1 setbody 1 5 5 x;resb@1 body 1 0 9",
    ),
    get(
        "body-cut-at-the-front",
        "resh remove 2 content-length;resb@1 setbody 1 0 1 %;resb@1 body 1 0 9",
    ),
    get(
        "body-cut-in-the-middle",
        "resh remove 2 content-length;resb@1 setbody 1 1 1 %;resb@1 body 1 0 9",
    ),
    get(
        "body-written-with-a-great-length",
        "resh remove 2 content-length;resb@1 setbody 1 1 4294967295 x;resb@1 body 1 0 9",
    ),
    get(
        "body-written-with-a-great-start",
        "resh remove 2 content-length;resb@1 setbody 1 4294967295 4294967295 x;\
         resb@1 body 1 0 9",
    ),
    get(
        "body-written-twice",
        "resh remove 2 content-length;resb@1 setbody 1 0 0 a;resb@1 setbody 1 0 1 bc;\
         resb@1 body 1 0 9",
    ),
    get(
        "body-written-at-its-end",
        "resh remove 2 content-length;resb@2 setbody 1 0 0 tail;resb@2 body 1 0 9",
    ),
    post(
        "buffered-body-written",
        "reqb@1 pause;reqb@2 body 0 0 99;reqb@2 setbody 0 0 2 XY;reqb@2 body 0 0 99",
    ),
    get(
        "buffered-response-written",
        "resh remove 2 content-length;resb@1 pause;resb@2 length 1;resb@2 setbody 1 0 99 new;\
         resb@2 body 1 0 9",
    ),
    get(
        "buffered-response-cleared",
        "resh remove 2 content-length;resb@1 pause;resb@1 setbody 1 0 99 %;resb@2 body 1 0 9",
    ),
    post(
        "other-bodies-written",
        "reqb@1 setbody 1 0 0 x;reqb@1 setbody 4 0 0 x;reqb@1 setbody 7 0 0 x;\
         reqb@1 setbody 99 0 0 x;resb@1 setbody 0 0 0 x",
    ),
    streaming(
        "body-in-the-trailers",
        "rest body 1 0 9;rest length 1;rest setbody 1 0 0 x",
    ),
    get(
        "body-in-log",
        "log body 1 0 9;log setbody 1 0 0 x;done body 1 0 9",
    ),
];
