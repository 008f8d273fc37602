//! The same plugin and the same requests in a real Envoy and in the simulator: the callbacks, the
//! statuses, the properties and what the client got are the same.

mod envoy;
mod rows;
mod view;

use rows::ROWS;

#[tokio::test]
async fn show() {
    let views = envoy::run(ROWS).await;
    for view in views {
        println!("{view}");
    }
}
