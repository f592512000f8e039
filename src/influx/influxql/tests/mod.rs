mod cases;
mod places;
mod properties;
mod secrets;
mod times;
