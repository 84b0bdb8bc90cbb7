//! Connections to a server that lets nobody in.

use std::{
    io::{self, Write},
    sync::Mutex,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::*;
use crate::database::url::Target;

/// The answer to everybody: a wrong password.
async fn refusing_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0";
        let mut refusal = vec![b'E'];
        refusal.extend_from_slice(&u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
        refusal.extend_from_slice(fields);
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut startup = [0; 1024];
            drop(stream.read(&mut startup).await);
            drop(stream.write_all(&refusal).await);
        }
    });
    port
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> usize {
        let log = self.0.lock().unwrap();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains("can't connect"))
            .count()
    }
}

#[tokio::test]
async fn many_lines_log_one_wrong_password_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let url = format!(
        "postgresql://me:hush@127.0.0.1:{}/shop?sslmode=disable",
        refusing_server().await
    );
    let target = Target::parse(&url, Duration::from_secs(5)).unwrap();
    let database = Arc::new(Database::new(target, None).unwrap());
    let mut lines = ["claim", "report", "deliver", "listen"]
        .map(|name| Connection::new(Arc::clone(&database), name));
    for line in &mut lines {
        let opening = timeout(Duration::from_millis(200), line.ready());
        assert!(opening.await.is_err(), "nobody is let in");
    }
    assert_eq!(log.lines(), 1);
    // What is new is logged at once, whichever line meets it.
    database.log_failure("claim", &Failure::Silent(Duration::from_secs(30)));
    assert_eq!(log.lines(), 2);
    assert!(!String::from_utf8_lossy(&log.0.lock().unwrap()).contains("hush"));
}
