mod cases;
mod measurements;
mod places;
mod properties;
mod secrets;
mod times;
