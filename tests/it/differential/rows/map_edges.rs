//! Header maps: repeated names, order, letter case, pseudo-headers, and values that are no text.

use super::{Row, get, post, streaming};

pub(super) const ROWS: &[Row] = &[
    get(
        "order-added",
        "reqh add 0 x-t-a 1;reqh add 0 x-t-b 2;reqh add 0 x-t-a 3;reqh order 0;reqh get 0 x-t-a",
    ),
    get(
        "order-replaced",
        "reqh add 0 x-t-a 1;reqh add 0 x-t-b 2;reqh add 0 x-t-a 3;reqh set 0 x-t-a 4;reqh order 0",
    ),
    get(
        "order-removed",
        "reqh add 0 x-t-a 1;reqh add 0 x-t-b 2;reqh add 0 x-t-a 3;reqh remove 0 x-t-a;reqh order 0;\
         reqh add 0 x-t-a 5;reqh order 0",
    ),
    get(
        "order-of-response",
        "resh add 2 x-t-b 1;resh add 2 x-t-a 2;resh add 2 x-t-b 3;resh set 2 x-t-c 4;resh order 2;\
         resh remove 2 x-t-a;log order 2",
    ),
    get(
        "names-with-capitals",
        "reqh add 0 X-T-A 1;reqh get 0 x-t-a;reqh get 0 X-T-A;reqh set 0 X-t-A 2;reqh order 0;\
         reqh remove 0 X-T-A;reqh order 0",
    ),
    get(
        "value-empty",
        "reqh add 0 x-t-a %;reqh get 0 x-t-a;reqh set 0 x-t-b %;reqh order 0;resh add 2 x-t-a %;\
         resh order 2",
    ),
    get("name-empty-read", "reqh get 0 %;reqh remove 0 %"),
    get(
        "value-with-spaces",
        "reqh add 0 x-t-a %20a%09b%20;reqh get 0 x-t-a;reqh order 0;resh add 2 x-t-a a%20b",
    ),
    get(
        "value-not-text",
        "reqh addhex 0 x-t-a ff80c328;reqh get 0 x-t-a;reqh order 0;resh addhex 2 x-t-b fe;\
         resh get 2 x-t-b",
    ),
    get(
        "cookies-of-request",
        "reqh add 0 cookie a=1;reqh add 0 cookie b=2;reqh get 0 cookie;resh get 0 cookie",
    ),
    get(
        "cookies-of-response",
        "resh add 2 set-cookie a=1;resh add 2 set-cookie b=2;resh get 2 set-cookie;\
         resh remove 2 set-cookie;resh get 2 set-cookie",
    ),
    get(
        "path-replaced",
        "reqh set 0 :path /new?x=1;reqh get 0 :path;reqh prop request.path;\
         reqh prop request.url_path;reqh prop request.query;resh get 0 :path;log prop request.path",
    ),
    get(
        "authority-by-its-other-name",
        "reqh set 0 host other;reqh get 0 host;reqh get 0 :authority;resh get 0 :authority",
    ),
    get(
        "method-replaced",
        "reqh set 0 :method PUT;reqh prop request.method;resh get 0 :method;resb get 2 :status",
    ),
    get(
        "map-of-response-replaced",
        "resh setpairs 2 :status~418,x-t-a~1,x-t-b~2,x-t-a~3;resh order 2;resh get 2 :status;\
         resh get 2 content-type;log get 2 :status",
    ),
    get(
        "map-that-does-not-exist-replaced",
        "reqh setpairs 2 x-t-a~1;reqh setpairs 1 x-t-a~1;log setpairs 2 x-t-a~1;log order 2",
    ),
    get(
        "sizes-of-missing-maps",
        "reqh size 1;reqh size 2;resh size 3;resh size 6;reqh size 9",
    ),
    get(
        "response-headers-written-later",
        "resb@1 add 2 x-t-a 1;resb@1 get 2 x-t-a;resb@1 set 2 :status 418;log get 2 x-t-a;\
         log get 2 :status",
    ),
    post(
        "request-headers-written-later",
        "reqb@1 add 0 x-t-a 1;reqb@1 get 0 x-t-a;resh set 0 x-t-b 1;log get 0 x-t-a;\
                log order 0",
    ),
    streaming(
        "trailers-written",
        "rest add 3 x-t-a 1;rest add 3 x-t-a 2;rest order 3;rest get 3 grpc-status;\
                rest set 3 grpc-status 13;rest remove 3 x-t-none;rest get 3 grpc-status;\
                rest add 2 x-t-b 1;log get 3 grpc-status;log order 3",
    ),
    streaming(
        "trailers-too-early",
        "resh get 3 grpc-status;resh add 3 x-t-a 1;resb@1 get 3 grpc-status;resb@1 size 3",
    ),
];
